//! The receiving end of a snapshot: into the staging directory, checked, then to its replica.

use std::path::PathBuf;
use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{SnapshotChunk, SnapshotHeader, SnapshotReply};
use tokio::sync::Semaphore;

use super::hosted::Hosted;
use super::port::Ended;
use crate::codec::{Vote, log_id_from_wire, stored_membership_from_wire, vote_from_wire, vote_to_wire};
use crate::error::Error;
use crate::lease::LeaseTerms;
use crate::runtime::Runtime;
use crate::state::{SnapshotData, SnapshotSink};
use crate::transport::wire::bulk::{STALL, TRANSFERS_MAX};
use crate::transport::wire::lane::{LinkError, NodeUuid};
use crate::transport::wire::message::Meta;

type Chunks = BoxStream<'static, Result<SnapshotChunk, LinkError>>;

#[derive(Debug, thiserror::Error)]
enum ReceiveError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("the transfer stands still")]
    Stalled,
    #[error("the transfer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the sender must not lead this node: {0}")]
    Terms(String),
    #[error("this replica is not on this node")]
    NotHere,
    #[error("too many snapshots at once")]
    Busy,
}

/// Bounds and folder that all incoming snapshots of a node share.
pub(in crate::transport) struct BulkReceiver {
    staging: PathBuf,
    terms: LeaseTerms,
    transfers: Semaphore,
}

impl BulkReceiver {
    pub(in crate::transport) fn new(staging: PathBuf, terms: LeaseTerms) -> Self {
        Self { staging, terms, transfers: Semaphore::new(TRANSFERS_MAX) }
    }

    pub(in crate::transport) async fn receive<R: Runtime>(
        &self,
        hosted: Arc<Hosted<R>>,
        peer: NodeUuid,
        chunks: Chunks,
    ) -> SnapshotReply {
        match self.install(hosted, chunks).await {
            Ok(vote) => SnapshotReply { vote: Some(vote_to_wire(&vote)), error: String::new() },
            Err(error) => {
                tracing::warn!(?peer, %error, "snapshot not installed");
                SnapshotReply { vote: None, error: error.to_string() }
            }
        }
    }

    async fn install<R: Runtime>(
        &self,
        hosted: Arc<Hosted<R>>,
        mut chunks: Chunks,
    ) -> Result<Vote, ReceiveError> {
        let _permit = self.transfers.try_acquire().map_err(|_| ReceiveError::Busy)?;
        let Body::Header(header) = next::<R>(&mut chunks).await? else {
            return Err(ReceiveError::Malformed("it does not begin with a header"));
        };
        // To its sender a snapshot's answer is as good as a heartbeat's.
        let theirs = LeaseTerms::from_millis(header.lease_ms, header.read_lease_ms);
        self.terms.suits(theirs).map_err(ReceiveError::Terms)?;
        let seat =
            hosted.find(header.group, header.to_replica, header.from_replica).ok_or(ReceiveError::NotHere)?;
        let (vote, meta) = parse(&header)?;
        let held = seat.port.held_vote();
        if held > vote {
            // The sender steps down on seeing it; no use moving the data first.
            return Ok(held);
        }
        let data = self.collect::<R>(&mut chunks).await?;
        Ok(seat.port.install_snapshot(vote, meta, data).await?)
    }

    async fn collect<R: Runtime>(&self, chunks: &mut Chunks) -> Result<SnapshotData, ReceiveError> {
        let mut sink = SnapshotSink::new(&self.staging);
        let mut count = 0;
        loop {
            match next::<R>(chunks).await? {
                Body::Data(data) => {
                    let pushed = R::blocking(move || {
                        sink.push(data)?;
                        Ok::<_, Error>(sink)
                    });
                    sink = pushed.await?;
                    count += 1;
                }
                Body::End(end) if end.chunks == count => break,
                Body::End(_) => return Err(ReceiveError::Malformed("chunks are missing")),
                Body::Header(_) => return Err(ReceiveError::Malformed("it has two headers")),
            }
        }
        Ok(R::blocking(move || sink.finish()).await?)
    }
}

async fn next<R: Runtime>(chunks: &mut Chunks) -> Result<Body, ReceiveError> {
    let chunk = match R::timeout(STALL, chunks.next()).await {
        Ok(Some(chunk)) => chunk?,
        Ok(None) => return Err(ReceiveError::Malformed("it ends too early")),
        Err(_) => return Err(ReceiveError::Stalled),
    };
    chunk.body.ok_or(ReceiveError::Malformed("a chunk is empty"))
}

fn parse(header: &SnapshotHeader) -> Result<(Vote, Meta), ReceiveError> {
    let vote = header.vote.as_ref().ok_or(ReceiveError::Malformed("its header has no vote"))?;
    let membership =
        header.membership.as_ref().ok_or(ReceiveError::Malformed("its header has no membership"))?;
    let meta = Meta {
        last_log_id: header.last_log_id.as_ref().map(log_id_from_wire),
        last_membership: stored_membership_from_wire(membership)?,
    };
    Ok((vote_from_wire(vote), meta))
}
