//! The links dialled to this node.

use std::sync::Arc;

use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use openraft::AsyncRuntime;
use openraft::async_runtime::Select4;
use rowhouse_peer::Caller;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::transport_server::Transport;
use rowhouse_proto::wire::transport::v1::{FrameBatch, SnapshotChunk, SnapshotReply};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use super::identity::{hex, terms};
use super::session::{BATCHES_AHEAD, HELLO_TIMEOUT, pump, refusal};
use super::shared::Shared;
use crate::runtime::Production;
use crate::transport::wire::queue::{Batcher, frame_queue};
use crate::transport::{Inbound, Lane, LinkError, NodeUuid};

/// The gRPC service to mount on a node's server.
pub struct TransportService {
    shared: Arc<Shared>,
}

impl TransportService {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl Transport for TransportService {
    type LaneStream = BoxStream<'static, Result<FrameBatch, Status>>;

    async fn lane(
        &self,
        request: Request<Streaming<FrameBatch>>,
    ) -> Result<Response<Self::LaneStream>, Status> {
        let (batches, outgoing) = mpsc::channel(BATCHES_AHEAD);
        let shared = self.shared.clone();
        let caller = request.extensions().get::<Caller>().cloned();
        drop(Production::spawn(async move {
            if let Err(status) = serve(&shared, caller, request.into_inner(), &batches).await {
                // The peer may be gone already.
                drop(batches.send(Err(status)).await);
            }
        }));
        Ok(Response::new(ReceiverStream::new(outgoing).boxed()))
    }

    async fn snapshot(
        &self,
        request: Request<Streaming<SnapshotChunk>>,
    ) -> Result<Response<SnapshotReply>, Status> {
        let caller = request.extensions().get::<Caller>().cloned();
        let mut chunks = request.into_inner();
        let first = within(chunks.message()).await?;
        let Some(Body::Header(header)) = &first.body else {
            return Err(Status::invalid_argument("the first chunk is not a header"));
        };
        let checked = self.shared.identity.check_header(first.version, header);
        let peer = checked.map_err(|why| self.refuse(&header.node_uuid, why))?;
        self.shared.identity.check_caller(caller.as_ref(), peer)?;
        let inbox = self.shared.inbox().ok_or_else(stopping)?;
        let rest = chunks.map_err(refusal).and_then(|chunk| async move {
            match chunk.version {
                WIRE_VERSION => Ok(chunk),
                other => Err(LinkError::Refused(format!("wire version {other} in mid-stream"))),
            }
        });
        let chunks = futures::stream::iter([Ok(first)]).chain(rest).boxed();
        let reply = inbox.snapshot(peer, chunks);
        drop(inbox);
        match Production::select2(self.shared.stopped(), reply).await {
            openraft::async_runtime::Select2::First(()) => Err(stopping()),
            openraft::async_runtime::Select2::Second(reply) => Ok(Response::new(reply)),
        }
    }
}

impl TransportService {
    fn refuse(&self, node: &[u8], why: String) -> Status {
        refuse(&self.shared, node, why)
    }
}

fn refuse(shared: &Shared, node: &[u8], why: String) -> Status {
    shared.identity.warn(&hex(node), &why);
    Status::failed_precondition(why)
}

fn stopping() -> Status {
    Status::unavailable("this node is stopping")
}

/// The first message of a stream.
async fn within<M: Send>(
    message: impl Future<Output = Result<Option<M>, Status>> + Send,
) -> Result<M, Status> {
    match Production::timeout(HELLO_TIMEOUT, message).await {
        Ok(first) => first?.ok_or_else(|| Status::invalid_argument("the stream is empty")),
        Err(_) => Err(Status::deadline_exceeded("the peer did not name itself in time")),
    }
}

/// Serves one link until it ends; an error is for the peer.
async fn serve(
    shared: &Arc<Shared>,
    caller: Option<Caller>,
    mut incoming: Streaming<FrameBatch>,
    batches: &mpsc::Sender<Result<FrameBatch, Status>>,
) -> Result<(), Status> {
    let hello = within(incoming.message()).await?;
    let checked = shared.identity.check_batch(&hello);
    let (peer, lane) = checked.map_err(|why| refuse(shared, &hello.node_uuid, why))?;
    shared.identity.check_caller(caller.as_ref(), peer)?;
    let (replies, frames) = frame_queue();
    let inbox = shared.inbox().ok_or_else(stopping)?;
    let inbound = inbox.accept(peer, lane, terms(&hello), replies);
    let inbound = inbound.map_err(|error| refuse(shared, &hello.node_uuid, error.to_string()))?;
    let answer = shared.identity.hello(lane, inbox.lease_terms());
    drop(inbox);
    if batches.send(Ok(answer)).await.is_err() {
        return Ok(());
    }
    let superseded = shared.claim(peer, lane);
    // It reached us, so it can be reached.
    shared.revive(peer);
    let reader = read(shared, incoming, inbound, peer, lane);
    let writer = pump(Batcher::new(frames), &shared.identity, lane, batches.clone(), Ok);
    match Production::select4(shared.stopped(), superseded, reader, writer).await {
        Select4::First(()) => Err(stopping()),
        Select4::Second(_) => Err(Status::aborted("the peer has dialled again")),
        Select4::Third(ended) => ended,
        Select4::Fourth(()) => Ok(()),
    }
}

async fn read(
    shared: &Shared,
    mut incoming: Streaming<FrameBatch>,
    mut inbound: Box<dyn Inbound>,
    peer: NodeUuid,
    lane: Lane,
) -> Result<(), Status> {
    while let Some(batch) = incoming.message().await? {
        match shared.identity.check_batch(&batch) {
            Ok(named) if named == (peer, lane) => {}
            Ok(_) => return Err(refuse(shared, &batch.node_uuid, "another node in mid-stream".to_owned())),
            Err(why) => return Err(refuse(shared, &batch.node_uuid, why)),
        }
        for frame in batch.frames {
            inbound.request(frame);
        }
    }
    Ok(())
}
