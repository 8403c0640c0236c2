//! The sending end of a snapshot. A transfer whose link breaks goes on where it was
//! (docs/rules/storage.md#a-broken-transfer-goes-on).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use openraft::Instant;
use openraft::async_runtime::Select2;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{SnapshotChunk, SnapshotEnd, SnapshotHeader, SnapshotReply};
use rowhouse_proto::{Backoff, Spread};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::pace::Pace;
use super::permits::Permits;
use crate::codec::{Vote, log_id_to_wire, stored_membership_to_wire, vote_from_wire, vote_to_wire};
use crate::error::Error;
use crate::lease::LeaseTerms;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::state::{SnapshotChunks, SnapshotData};
use crate::transport::metrics::SnapshotMetrics;
use crate::transport::wire::bulk::{BulkOptions, INSTALL, INSTALL_BYTES_PER_SECOND, STALL};
use crate::transport::wire::contract::Wire;
use crate::transport::wire::lane::{LinkError, NodeUuid};
use crate::transport::wire::message::Meta;
use crate::transport::wire::queue::FRAME_BYTES_MAX;
use crate::{GroupId, ReplicaId};

/// Chunks between the reader and the link: one is sent while the next is read.
const CHUNKS_AHEAD: usize = 1;
/// A transfer that got no further begins anew: its first chunks may never have left.
const CHUNKS_WORTH_RESUMING: u64 = 3;
/// Times a transfer goes on without having got further.
const RESUMES_IN_VAIN_MAX: u32 = 5;
/// First pause before a receiver is asked what it has.
const ASK_FIRST: Duration = Duration::from_millis(50);
/// Longest such pause.
const ASK_LONGEST: Duration = Duration::from_millis(800);
/// A receiver answers from memory.
const ASK_TIMEOUT: Duration = Duration::from_secs(5);
/// A receiver may ask for no longer pause.
const PAUSE_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, thiserror::Error)]
pub(in crate::transport) enum SendError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("reading the snapshot: {0}")]
    Read(#[from] Error),
    #[error("refused by the receiver: {why}")]
    Refused { why: String, pause: Duration },
    #[error("the transfer stands still")]
    Stalled,
    #[error("the transfer broke off at the receiver: {0}")]
    Broke(String),
}

impl SendError {
    /// How long not to try again.
    pub(in crate::transport) fn pause(&self) -> Duration {
        match self {
            Self::Refused { pause, .. } => (*pause).min(PAUSE_MAX),
            _ => Duration::ZERO,
        }
    }

    /// Whether the transfer may go on over another link.
    fn is_break(&self) -> bool {
        matches!(self, Self::Link(LinkError::Down(_)) | Self::Stalled | Self::Broke(_))
    }
}

/// Header of a snapshot; the wire adds who sends it, and `send` which transfer it is.
pub(in crate::transport) fn header(
    group: GroupId,
    from: ReplicaId,
    to: ReplicaId,
    terms: LeaseTerms,
    vote: &Vote,
    meta: &Meta,
) -> SnapshotHeader {
    SnapshotHeader {
        lease_ms: terms.granted.as_millis() as u64,
        read_lease_ms: terms.read.as_millis() as u64,
        group: group.into(),
        from_replica: from,
        to_replica: to,
        vote: Some(vote_to_wire(vote)),
        last_log_id: meta.last_log_id.as_ref().map(log_id_to_wire),
        membership: Some(stored_membership_to_wire(&meta.last_membership)),
        ..SnapshotHeader::default()
    }
}

/// The receiver's answer to who asks what it has of a transfer.
enum Standing {
    /// It has so many chunks.
    Held(u64),
    /// It has installed the snapshot, or knows a higher vote.
    Done(Vote),
}

/// Bounds that all outgoing snapshots of a node share: their number and their rate.
pub(in crate::transport) struct BulkSender<R: Runtime> {
    pub(in crate::transport) permits: Permits,
    pace: Pace<R>,
    resume_for: Duration,
    metrics: Arc<SnapshotMetrics>,
}

type Source = Arc<Mutex<SnapshotChunks>>;

impl<R: Runtime> BulkSender<R> {
    pub(in crate::transport) fn new(options: &BulkOptions, metrics: Arc<SnapshotMetrics>) -> Self {
        let pace = Pace::new(options.bytes_per_second);
        Self { permits: Permits::new(), pace, resume_for: options.resume_for, metrics }
    }

    /// Sends a snapshot and returns the receiver's vote once it is installed there. The caller holds a permit.
    #[tracing::instrument(name = "raft.send_snapshot", parent = None, skip_all, fields(raft.group = header.group, raft.replica = header.to_replica))]
    pub(in crate::transport) async fn send(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        header: SnapshotHeader,
        data: SnapshotData,
    ) -> Result<Vote, SendError> {
        let sent = self.send_resuming(wire, peer, header, data).await;
        self.metrics.sent(&sent);
        sent
    }

    async fn send_resuming(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        mut header: SnapshotHeader,
        data: SnapshotData,
    ) -> Result<Vote, SendError> {
        let (bytes, chunks) = R::blocking(move || (data.approximate_bytes(), data.into_chunks())).await;
        let source: Source = Arc::new(Mutex::new(chunks));
        // Zero is what a program sends that does not resume.
        (header.transfer, header.bytes) = (R::random_u64() | 1, bytes);
        let mut in_vain = 0;
        loop {
            let broke = match self.attempt(wire, peer, &header, &source).await {
                Ok(reply) => return verdict(reply),
                Err(error) if error.is_break() => error,
                Err(error) => return Err(error),
            };
            if lock(&source).made() < CHUNKS_WORTH_RESUMING {
                return Err(broke);
            }
            let held = match self.ask(wire, peer, &header).await? {
                Standing::Done(vote) => return Ok(vote),
                Standing::Held(0) => return Err(broke),
                Standing::Held(held) => held,
            };
            in_vain = if held > header.first_chunk { 0 } else { in_vain + 1 };
            if in_vain > RESUMES_IN_VAIN_MAX {
                return Err(broke);
            }
            let (group, to) = (header.group, header.to_replica);
            tracing::info!(group, to, held, %broke, "a snapshot goes on where its link broke");
            header.first_chunk = held;
        }
    }

    /// Sends the chunks from the header's first on, and waits for the answer.
    async fn attempt(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        header: &SnapshotHeader,
        source: &Source,
    ) -> Result<SnapshotReply, SendError> {
        let install = INSTALL + Duration::from_secs(header.bytes / INSTALL_BYTES_PER_SECOND);
        let (chunks, receiver) = mpsc::channel(CHUNKS_AHEAD);
        let mut reply = wire.send_snapshot(peer, ReceiverStream::new(receiver).boxed());
        let reply = match R::select2(&mut reply, self.produce(header.clone(), source.clone(), chunks)).await {
            Select2::First(reply) => reply?,
            Select2::Second(produced) => {
                produced?;
                R::timeout(install, reply).await.map_err(|_| SendError::Stalled)??
            }
        };
        // A receiver that is busy for a moment does not forget what it holds.
        let goes_on = reply.held_chunks > 0 || header.first_chunk > 0 && reply.retry_after_ms > 0;
        if reply.vote.is_none() && goes_on {
            return Err(SendError::Broke(reply.error));
        }
        Ok(reply)
    }

    async fn produce(
        &self,
        header: SnapshotHeader,
        source: Source,
        chunks: mpsc::Sender<SnapshotChunk>,
    ) -> Result<(), SendError> {
        let mut number = header.first_chunk;
        put::<R>(&chunks, Body::Header(header)).await?;
        loop {
            // By number: what an earlier attempt still reads does not matter.
            let source = source.clone();
            let read = R::blocking(move || lock(&source).chunk(number)).await;
            let Some(data) = read? else { break };
            if data.len() > FRAME_BYTES_MAX {
                return Err(LinkError::TooLarge { bytes: data.len(), max: FRAME_BYTES_MAX }.into());
            }
            self.pace.pass(data.len() as u64).await;
            put::<R>(&chunks, Body::Data(data)).await?;
            number += 1;
        }
        put::<R>(&chunks, Body::End(SnapshotEnd { chunks: number })).await
    }

    /// Asks the receiver what it has of a transfer, until it answers or `resume_for` is over.
    async fn ask(
        &self,
        wire: &dyn Wire,
        peer: NodeUuid,
        header: &SnapshotHeader,
    ) -> Result<Standing, SendError> {
        let deadline = R::Instant::now() + self.resume_for;
        let mut pauses = Backoff::new(ASK_FIRST, ASK_LONGEST, Spread::QuarterOnTop);
        let question = SnapshotHeader { asks: true, ..header.clone() };
        loop {
            R::sleep(pauses.pause(R::random_u64())).await;
            let question = futures::stream::iter([chunk(Body::Header(question.clone()))]).boxed();
            let error = match R::timeout(ASK_TIMEOUT, wire.send_snapshot(peer, question)).await {
                Ok(Ok(SnapshotReply { vote: Some(vote), .. })) => {
                    return Ok(Standing::Done(vote_from_wire(&vote)));
                }
                // An older program takes the question for a transfer that ends too early: it holds nothing.
                Ok(Ok(reply)) if reply.retry_after_ms == 0 => return Ok(Standing::Held(reply.held_chunks)),
                Ok(Ok(reply)) => refused(reply),
                Ok(Err(error)) => error.into(),
                Err(_) => SendError::Stalled,
            };
            if R::Instant::now() >= deadline {
                return Err(error);
            }
        }
    }
}

fn refused(reply: SnapshotReply) -> SendError {
    SendError::Refused { why: reply.error, pause: Duration::from_millis(reply.retry_after_ms) }
}

fn verdict(reply: SnapshotReply) -> Result<Vote, SendError> {
    match &reply.vote {
        Some(vote) => Ok(vote_from_wire(vote)),
        None => Err(refused(reply)),
    }
}

fn chunk(body: Body) -> SnapshotChunk {
    SnapshotChunk { version: rowhouse_proto::WIRE_VERSION, body: Some(body) }
}

async fn put<R: Runtime>(chunks: &mpsc::Sender<SnapshotChunk>, body: Body) -> Result<(), SendError> {
    match R::timeout(STALL, chunks.send(chunk(body))).await {
        Ok(Ok(())) => Ok(()),
        // The link has ended, and its reply says why: let that be the outcome.
        Ok(Err(_)) => std::future::pending().await,
        Err(_) => Err(SendError::Stalled),
    }
}
