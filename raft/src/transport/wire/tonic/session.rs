//! One attempt of a dialled link, from connecting to its end, and one snapshot transfer.

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::AsyncRuntime;
use openraft::async_runtime::Select4;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::transport_client::TransportClient;
use rowhouse_proto::wire::transport::v1::{FrameBatch, SnapshotChunk, SnapshotReply};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

use super::Peer;
use super::identity::{self, Identity, hex};
use super::link::Link;
use super::shared::Shared;
use crate::lease::LeaseTerms;
use crate::runtime::Production;
use crate::transport::wire::queue::{Batcher, FrameReceiver, RPC_BYTES_MAX};
use crate::transport::{Lane, LinkError, NodeUuid};

/// Half-open connections are found within the sum of these two; the server should use the same.
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(2);
/// See `KEEPALIVE_INTERVAL`.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);
/// Connecting within a data centre; a longer wait would outlive the calls that wait for it.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// Each side names itself within this, or is not one of us.
pub(super) const HELLO_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a link asks whether its peer has moved.
const ADDRESS_CHECK: Duration = Duration::from_secs(1);
/// Batches handed to HTTP/2 beyond the one it sends.
pub(super) const BATCHES_AHEAD: usize = 1;

/// Runs one attempt of a link until it ends.
pub(super) async fn run(link: Arc<Link>, shared: Arc<Shared>, frames: FrameReceiver) {
    let error = drive(&link, &shared, frames).await;
    let (peer, lane) = (hex(&link.peer), link.lane);
    match &error {
        LinkError::Refused(why) => shared.identity.warn(&peer, why),
        _ => tracing::debug!(peer, %lane, %error, "link ended"),
    }
    // In this order: what is begun from here on finds the queue closed, not a link that is then reported lost.
    if let Some(inbox) = shared.inbox() {
        inbox.link_lost(link.peer, link.lane);
    }
    link.rest();
}

/// Returns why the link ended. The queue is closed by then.
async fn drive(link: &Link, shared: &Arc<Shared>, frames: FrameReceiver) -> LinkError {
    let Some(peer) = shared.identity.peer(link.peer) else {
        return LinkError::Down("the directory has no address".to_owned());
    };
    let session = async {
        let terms = shared.inbox().ok_or_else(stopped)?.lease_terms();
        let (batches, incoming) = open(link, &shared.identity, &peer, terms).await?;
        link.connected();
        shared.revive(link.peer);
        Ok::<_, LinkError>((batches, incoming))
    };
    let (batches, incoming) = match Production::select2(shared.stopped(), session).await {
        openraft::async_runtime::Select2::First(()) => return stopped(),
        openraft::async_runtime::Select2::Second(Err(error)) => return error,
        openraft::async_runtime::Select2::Second(Ok(open)) => open,
    };
    let identity = &shared.identity;
    let writer = pump(Batcher::new(frames), identity, link.lane, batches, |batch| batch);
    let reader = read(link, shared, incoming);
    match Production::select4(shared.stopped(), reader, writer, moved(link, identity, &peer)).await {
        Select4::First(()) => stopped(),
        Select4::Second(error) => error,
        Select4::Third(()) => LinkError::Down("the connection closed".to_owned()),
        Select4::Fourth(()) => LinkError::Down("the peer has moved".to_owned()),
    }
}

fn stopped() -> LinkError {
    LinkError::Down("this node is stopping".to_owned())
}

/// Connects, and returns once both sides have named themselves.
async fn open(
    link: &Link,
    identity: &Identity,
    peer: &Peer,
    terms: LeaseTerms,
) -> Result<(mpsc::Sender<FrameBatch>, Streaming<FrameBatch>), LinkError> {
    let mut client = connect(identity, peer).await?;
    let (batches, outgoing) = mpsc::channel(BATCHES_AHEAD);
    batches.send(identity.hello(link.lane, terms)).await.map_err(|_| stopped())?;
    let hello = async {
        let mut incoming = client.lane(ReceiverStream::new(outgoing)).await.map_err(refusal)?.into_inner();
        let hello = incoming.message().await.map_err(refusal)?;
        let hello = hello.ok_or_else(|| LinkError::Down("the peer closed the stream".to_owned()))?;
        check(link, identity, &hello)?;
        terms.suits(identity::terms(&hello)).map_err(LinkError::Refused)?;
        Ok(incoming)
    };
    let incoming = Production::timeout(HELLO_TIMEOUT, hello)
        .await
        .map_err(|_| LinkError::Down("the peer did not name itself in time".to_owned()))??;
    Ok((batches, incoming))
}

async fn connect(identity: &Identity, peer: &Peer) -> Result<TransportClient<Channel>, LinkError> {
    let down = |error: tonic::transport::Error| LinkError::Down(describe(&error));
    let endpoint = Endpoint::from_shared(format!("http://{}", peer.address))
        .map_err(down)?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE_INTERVAL)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    // The timeout above begins after name resolution.
    let (dialer, name) = (identity.dialer().clone(), peer.name.clone());
    let connecting: BoxFuture<'static, _> =
        async move { dialer.connect(&endpoint, Some(&name)).await }.boxed();
    let channel = Production::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| LinkError::Down("connecting took too long".to_owned()))?
        .map_err(down)?;
    Ok(TransportClient::new(channel)
        .max_decoding_message_size(RPC_BYTES_MAX)
        .max_encoding_message_size(RPC_BYTES_MAX))
}

/// tonic hides the reason in the chain of sources.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

pub(super) fn refusal(status: Status) -> LinkError {
    match status.code() {
        Code::FailedPrecondition | Code::PermissionDenied => LinkError::Refused(status.message().to_owned()),
        code => LinkError::Down(format!("{code:?}: {}", status.message())),
    }
}

fn check(link: &Link, identity: &Identity, batch: &FrameBatch) -> Result<(), LinkError> {
    let (peer, lane) = identity.check_batch(batch).map_err(LinkError::Refused)?;
    if peer != link.peer || lane != link.lane {
        return Err(LinkError::Refused(format!("node {} answers at this address", hex(&peer))));
    }
    Ok(())
}

async fn read(link: &Link, shared: &Shared, mut incoming: Streaming<FrameBatch>) -> LinkError {
    loop {
        let batch = match incoming.message().await {
            Ok(Some(batch)) => batch,
            Ok(None) => return LinkError::Down("the peer closed the stream".to_owned()),
            Err(status) => return refusal(status),
        };
        if let Err(error) = check(link, &shared.identity, &batch) {
            return error;
        }
        let Some(inbox) = shared.inbox() else { return stopped() };
        for frame in batch.frames {
            inbox.reply(link.peer, frame);
        }
    }
}

/// Sends a queue's frames until one end is gone.
pub(super) async fn pump<T>(
    mut batcher: Batcher<Production>,
    identity: &Identity,
    lane: Lane,
    batches: mpsc::Sender<T>,
    wrap: fn(FrameBatch) -> T,
) {
    // First room, then frames: what waits meanwhile goes out in one batch.
    while let Ok(permit) = batches.reserve().await {
        let Some(frames) = batcher.next().await else { return };
        permit.send(wrap(identity.batch(lane, frames)));
    }
}

async fn moved(link: &Link, identity: &Identity, peer: &Peer) {
    while identity.peer(link.peer).as_ref() == Some(peer) {
        Production::sleep(ADDRESS_CHECK).await;
    }
}

/// One snapshot over a connection of its own.
pub(super) fn snapshot(
    shared: Arc<Shared>,
    peer: NodeUuid,
    chunks: BoxStream<'static, SnapshotChunk>,
) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
    let signer = shared.clone();
    let sign = move |mut chunk: SnapshotChunk| {
        if let Some(Body::Header(header)) = &mut chunk.body {
            signer.identity.sign(header);
        }
        chunk
    };
    let signed = chunks.map(sign).boxed();
    async move {
        let known = shared.identity.peer(peer);
        let known = known.ok_or_else(|| LinkError::Down("the directory has no address".to_owned()))?;
        let mut client = connect(&shared.identity, &known).await?;
        let calling: BoxFuture<'_, Result<tonic::Response<SnapshotReply>, Status>> =
            client.snapshot(signed).boxed();
        let reply = calling.await.map_err(refusal);
        if let Err(LinkError::Refused(why)) = &reply {
            shared.identity.warn(&hex(&peer), why);
        }
        Ok(reply?.into_inner())
    }
    .boxed()
}
