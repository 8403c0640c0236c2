//! The sending end of a snapshot.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use openraft::Instant;
use openraft::async_runtime::Select2;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{SnapshotChunk, SnapshotEnd, SnapshotHeader};
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

use crate::codec::{Vote, log_id_to_wire, stored_membership_to_wire, vote_from_wire, vote_to_wire};
use crate::error::Error;
use crate::lease::LeaseTerms;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::state::SnapshotData;
use crate::transport::wire::bulk::{BYTES_PER_SECOND, INSTALL, STALL, TRANSFERS_MAX};
use crate::transport::wire::contract::Wire;
use crate::transport::wire::lane::{LinkError, NodeUuid};
use crate::transport::wire::message::Meta;
use crate::transport::wire::queue::FRAME_BYTES_MAX;
use crate::{GroupId, ReplicaId};

/// Chunks between the reader and the link: one is sent while the next is read.
const CHUNKS_AHEAD: usize = 1;

#[derive(Debug, thiserror::Error)]
pub(in crate::transport) enum SendError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("reading the snapshot: {0}")]
    Read(#[from] Error),
    #[error("refused by the receiver: {0}")]
    Refused(String),
    #[error("the transfer stands still")]
    Stalled,
    #[error("the transfer took too long")]
    Deadline,
}

/// Header of a snapshot; the wire adds who sends it.
pub(in crate::transport) fn header(
    group: GroupId,
    from: ReplicaId,
    to: ReplicaId,
    terms: LeaseTerms,
    vote: &Vote,
    meta: &Meta,
) -> SnapshotHeader {
    SnapshotHeader {
        cluster_id: Bytes::new(),
        node_uuid: Bytes::new(),
        lease_ms: terms.granted.as_millis() as u64,
        read_lease_ms: terms.read.as_millis() as u64,
        group: group.into(),
        from_replica: from,
        to_replica: to,
        vote: Some(vote_to_wire(vote)),
        last_log_id: meta.last_log_id.as_ref().map(log_id_to_wire),
        membership: Some(stored_membership_to_wire(&meta.last_membership)),
    }
}

/// Bounds that all outgoing snapshots of a node share: their number and their rate.
pub(in crate::transport) struct BulkSender<R: Runtime> {
    transfers: Semaphore,
    /// When the next chunk may leave.
    next: Mutex<Option<R::Instant>>,
}

impl<R: Runtime> BulkSender<R> {
    pub(in crate::transport) fn new() -> Self {
        Self { transfers: Semaphore::new(TRANSFERS_MAX), next: Mutex::new(None) }
    }

    /// Sends a snapshot and returns the receiver's vote once it is installed there.
    pub(in crate::transport) async fn send(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        header: SnapshotHeader,
        data: SnapshotData,
        deadline: Duration,
    ) -> Result<Vote, SendError> {
        let transfer = async {
            let _permit = self.transfers.acquire().await.map_err(|_| SendError::Stalled)?;
            self.transfer(wire, peer, header, data).await
        };
        R::timeout(deadline, transfer).await.unwrap_or(Err(SendError::Deadline))
    }

    async fn transfer(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        header: SnapshotHeader,
        data: SnapshotData,
    ) -> Result<Vote, SendError> {
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let mut reply = wire.send_snapshot(peer, ReceiverStream::new(receiver).boxed());
        let reply = match R::select2(&mut reply, self.produce(header, data, chunks)).await {
            Select2::First(reply) => reply?,
            Select2::Second(produced) => {
                produced?;
                R::timeout(INSTALL, reply).await.map_err(|_| SendError::Stalled)??
            }
        };
        match &reply.vote {
            Some(vote) => Ok(vote_from_wire(vote)),
            None => Err(SendError::Refused(reply.error)),
        }
    }

    async fn produce(
        &self,
        header: SnapshotHeader,
        data: SnapshotData,
        chunks: mpsc::Sender<SnapshotChunk>,
    ) -> Result<(), SendError> {
        put::<R>(&chunks, Body::Header(header)).await?;
        let mut source = data.into_chunks();
        let mut count = 0;
        loop {
            let (rest, read) = R::blocking(move || {
                let read = source.next();
                (source, read)
            })
            .await;
            source = rest;
            let Some(data) = read? else { break };
            if data.len() > FRAME_BYTES_MAX {
                return Err(LinkError::TooLarge { bytes: data.len(), max: FRAME_BYTES_MAX }.into());
            }
            self.pace(data.len() as u64).await;
            put::<R>(&chunks, Body::Data(data)).await?;
            count += 1;
        }
        put::<R>(&chunks, Body::End(SnapshotEnd { chunks: count })).await
    }

    /// Waits until `bytes` more may leave this node.
    async fn pace(&self, bytes: u64) {
        let now = R::Instant::now();
        let start = {
            let mut next = lock(&self.next);
            let start = next.map_or(now, |next| next.max(now));
            *next = Some(start + Duration::from_micros(bytes * 1_000_000 / BYTES_PER_SECOND));
            start
        };
        if start > now {
            // Not until a moment: those lie on a grid, too coarse for a pace.
            R::sleep(start - now).await;
        }
    }
}

async fn put<R: Runtime>(chunks: &mpsc::Sender<SnapshotChunk>, body: Body) -> Result<(), SendError> {
    let chunk = SnapshotChunk { version: rowhouse_proto::WIRE_VERSION, body: Some(body) };
    match R::timeout(STALL, chunks.send(chunk)).await {
        Ok(Ok(())) => Ok(()),
        // The link has ended, and its reply says why: let that be the outcome.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => Err(SendError::Stalled),
    }
}
