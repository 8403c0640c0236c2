//! The receiving end of a snapshot: into the staging directory, checked, then to its replica.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::BoxStream;
use openraft::async_runtime::Select2;
use rowhouse_proto::wire::transport::v1::snapshot_chunk::Body;
use rowhouse_proto::wire::transport::v1::{SnapshotChunk, SnapshotHeader, SnapshotReply};
use tokio::sync::{Semaphore, oneshot};

use super::arrivals::{Arrivals, Found, Received, Turn};
use super::hosted::{Hosted, Seat};
use super::receive_error::{BUSY_PAUSE_MS, ReceiveError};
use crate::codec::{
    LogId, Vote, log_id_from_wire, stored_membership_from_wire, vote_from_wire, vote_to_wire,
};
use crate::error::Error;
use crate::lease::LeaseTerms;
use crate::runtime::Runtime;
use crate::state::SnapshotSink;
use crate::transport::metrics::SnapshotMetrics;
use crate::transport::wire::bulk::{BulkOptions, ROOM_FACTOR, STALL, TRANSFERS_MAX};
use crate::transport::wire::lane::{LinkError, NodeUuid};
use crate::transport::wire::message::Meta;

type Chunks = BoxStream<'static, Result<SnapshotChunk, LinkError>>;

/// Bounds and folder that all incoming snapshots of a node share.
pub(in crate::transport) struct BulkReceiver {
    options: BulkOptions,
    terms: LeaseTerms,
    transfers: Semaphore,
    arrivals: Arrivals,
    metrics: Arc<SnapshotMetrics>,
}

/// A snapshot's header, checked.
struct Announced {
    header: SnapshotHeader,
    vote: Vote,
    meta: Meta,
}

impl BulkReceiver {
    pub(in crate::transport) fn new(
        options: BulkOptions,
        terms: LeaseTerms,
        metrics: Arc<SnapshotMetrics>,
    ) -> Self {
        let arrivals = Arrivals::new(options.resume_for);
        Self { options, terms, transfers: Semaphore::new(TRANSFERS_MAX), arrivals, metrics }
    }

    /// Takes a snapshot in, or answers a question about one. The work goes on if the caller is dropped with its link.
    pub(in crate::transport) async fn receive<R: Runtime>(
        self: Arc<Self>,
        hosted: Arc<Hosted<R>>,
        peer: NodeUuid,
        chunks: Chunks,
    ) -> SnapshotReply {
        let (answer, answered) = oneshot::channel();
        drop(R::spawn(async move {
            let reply = self.answer(hosted, peer, chunks).await;
            // A caller that is gone asks again.
            drop(answer.send(reply));
        }));
        let stopping =
            || SnapshotReply { error: "this node is stopping".to_owned(), ..SnapshotReply::default() };
        answered.await.unwrap_or_else(|_| stopping())
    }

    async fn answer<R: Runtime>(
        &self,
        hosted: Arc<Hosted<R>>,
        peer: NodeUuid,
        mut chunks: Chunks,
    ) -> SnapshotReply {
        let (announced, seat) = match self.announced(&hosted, &mut chunks).await {
            Ok(announced) => announced,
            Err(error) => return refuse(peer, &error, 0),
        };
        let held = seat.port.held_vote();
        if held > announced.vote {
            // The sender steps down on seeing it; no use moving the data first.
            return voted(&held);
        }
        if announced.header.asks {
            return self.tell(&announced.header);
        }
        let installed = self.install(&announced, &seat, &mut chunks).await;
        self.metrics.installed(&installed);
        match installed {
            Ok(vote) => voted(&vote),
            Err((error, held)) => refuse(peer, &error, held),
        }
    }

    async fn announced<R: Runtime>(
        &self,
        hosted: &Hosted<R>,
        chunks: &mut Chunks,
    ) -> Result<(Announced, Seat<R>), ReceiveError> {
        let Body::Header(header) = next::<R>(chunks).await? else {
            return Err(ReceiveError::Malformed("it does not begin with a header"));
        };
        // To its sender a snapshot's answer is as good as a heartbeat's.
        let theirs = LeaseTerms::from_millis(header.lease_ms, header.read_lease_ms);
        self.terms.suits(theirs).map_err(ReceiveError::Terms)?;
        let seat =
            hosted.find(header.group, header.to_replica, header.from_replica).ok_or(ReceiveError::NotHere)?;
        let (vote, meta) = parse(&header)?;
        check(&vote, &meta, seat.port.last_committed())?;
        Ok((Announced { header, vote, meta }, seat))
    }

    /// What is here of a transfer.
    fn tell(&self, header: &SnapshotHeader) -> SnapshotReply {
        match self.arrivals.find((header.group, header.to_replica), header.transfer) {
            Found::Installed(vote) => voted(&vote),
            Found::Chunks(held_chunks) => SnapshotReply { held_chunks, ..SnapshotReply::default() },
            Found::Busy => SnapshotReply {
                error: "its earlier link is not given up, or it is being installed".to_owned(),
                retry_after_ms: BUSY_PAUSE_MS,
                ..SnapshotReply::default()
            },
        }
    }

    /// Returns an error with the number of chunks that are kept.
    #[tracing::instrument(name = "raft.install_snapshot", parent = None, skip_all, fields(raft.group = header.group, raft.replica = header.to_replica))]
    async fn install<R: Runtime>(
        &self,
        Announced { header, vote, meta }: &Announced,
        seat: &Seat<R>,
        chunks: &mut Chunks,
    ) -> Result<Vote, (ReceiveError, u64)> {
        let _permit = self.transfers.try_acquire().map_err(|_| (ReceiveError::Busy, 0))?;
        let (name, staging) = ((header.group, header.to_replica), &self.options.staging);
        let begun =
            self.arrivals.begin(name, header.transfer, header.first_chunk, || SnapshotSink::new(staging));
        let (mut received, turn) = begun.map_err(|no_turn| (no_turn.into(), 0))?;
        let arriving = async {
            self.check_room::<R>(header.bytes.saturating_sub(received.bytes)).await?;
            collect::<R>(&mut received, meta, &turn, chunks).await
        };
        let arrived = arriving.await;
        let installed = async {
            arrived?;
            if !self.arrivals.installing(&turn) {
                return Err(ReceiveError::Superseded);
            }
            let sink = std::mem::replace(&mut received.sink, SnapshotSink::new(staging));
            let data = R::blocking(move || sink.finish()).await?;
            Ok(seat.port.install_snapshot(*vote, meta.clone(), data).await?)
        };
        match installed.await {
            Ok(vote) => {
                self.arrivals.installed::<R>(&turn, vote);
                Ok(vote)
            }
            Err(error) if error.is_break() && header.transfer != 0 => {
                let held = received.chunks;
                self.arrivals.broke::<R>(&turn, received);
                Err((error, held))
            }
            Err(error) => {
                self.arrivals.forget(&turn);
                Err((error, 0))
            }
        }
    }

    /// Fails if `bytes` more would not fit beside what they become.
    async fn check_room<R: Runtime>(&self, bytes: u64) -> Result<(), ReceiveError> {
        let Some(room) = self.options.room.clone() else { return Ok(()) };
        let needed = bytes.saturating_mul(ROOM_FACTOR);
        match R::blocking(move || room()).await {
            Some(free) if free < needed => Err(ReceiveError::NoRoom { needed, free }),
            _ => Ok(()),
        }
    }
}

fn voted(vote: &Vote) -> SnapshotReply {
    SnapshotReply { vote: Some(vote_to_wire(vote)), ..SnapshotReply::default() }
}

fn refuse(peer: NodeUuid, error: &ReceiveError, held_chunks: u64) -> SnapshotReply {
    tracing::warn!(?peer, %error, held_chunks, "snapshot not installed");
    let retry_after_ms = error.retry_after_ms();
    SnapshotReply { vote: None, error: error.to_string(), held_chunks, retry_after_ms }
}

/// Takes chunks in until the end, or until the turn is over.
async fn collect<R: Runtime>(
    received: &mut Received,
    meta: &Meta,
    turn: &Turn,
    chunks: &mut Chunks,
) -> Result<(), ReceiveError> {
    loop {
        let body = match R::select2(turn.open.acquire(), next::<R>(chunks)).await {
            Select2::First(_) => return Err(ReceiveError::Superseded),
            Select2::Second(body) => body?,
        };
        match body {
            Body::Data(data) => {
                received.bytes += data.len() as u64;
                push::<R>(received, data).await?;
                if received.chunks == 1 {
                    received.sink.check(meta)?;
                }
            }
            Body::End(end) if end.chunks == received.chunks => return Ok(()),
            Body::End(_) => return Err(ReceiveError::Malformed("chunks are missing")),
            Body::Header(_) => return Err(ReceiveError::Malformed("it has two headers")),
        }
    }
}

async fn push<R: Runtime>(received: &mut Received, data: bytes::Bytes) -> Result<(), Error> {
    // The sink is lost with an error, or with this future, which nobody drops.
    let mut sink = std::mem::replace(&mut received.sink, SnapshotSink::new("".as_ref()));
    let pushed = R::blocking(move || {
        let pushed = sink.push(data);
        (sink, pushed)
    });
    let (sink, pushed) = pushed.await;
    received.sink = sink;
    pushed?;
    received.chunks += 1;
    Ok(())
}

async fn next<R: Runtime>(chunks: &mut Chunks) -> Result<Body, ReceiveError> {
    let chunk = match R::timeout(STALL, chunks.next()).await {
        Ok(Some(chunk)) => chunk?,
        Ok(None) => return Err(ReceiveError::Short),
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

/// Refuses what would end openraft: it trusts senders to be leaders that send what is committed.
fn check(vote: &Vote, meta: &Meta, committed: Option<LogId>) -> Result<(), ReceiveError> {
    let last = meta.last_log_id.ok_or(ReceiveError::Malformed("its header has no log id"))?;
    if !vote.committed {
        return Err(ReceiveError::Malformed("its sender was not elected"));
    }
    if last.leader_id > vote.leader_id {
        return Err(ReceiveError::AheadOfLeader(last, *vote));
    }
    match committed {
        Some(committed) if last > committed && last.index <= committed.index => {
            Err(ReceiveError::Contradicts(last, committed))
        }
        _ => Ok(()),
    }
}
