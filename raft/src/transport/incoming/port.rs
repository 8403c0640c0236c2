//! A hosted replica as the transport sees it: what may be asked of it, whatever its state machine.

use std::sync::Arc;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::Raft;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::raft::{
    AppendEntriesResponse, StreamAppendError, StreamAppendResult, TransferLeaderRequest,
    TransferLeaderResponse, VoteRequest, VoteResponse,
};
use openraft::storage::{RaftStateMachine, Snapshot};

use crate::RaftTypes;
use crate::codec::{LogId, Vote};
use crate::runtime::Runtime;
use crate::state::SnapshotData;
use crate::transport::wire::message::{AppendOf, Meta};

/// The replica has ended; what it was asked may or may not have happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the replica has ended: {0}")]
pub(in crate::transport) struct Ended(pub(in crate::transport) String);

pub(in crate::transport) trait Port<R: Runtime>: Send + Sync {
    fn append_stream(
        &self,
        requests: BoxStream<'static, AppendOf<R>>,
    ) -> BoxStream<'static, Result<StreamAppendResult<RaftTypes<R>>, Ended>>;

    /// One append outside any stream: a heartbeat.
    fn append(
        &self,
        request: AppendOf<R>,
    ) -> BoxFuture<'static, Result<StreamAppendResult<RaftTypes<R>>, Ended>>;

    fn vote(
        &self,
        request: VoteRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<VoteResponse<RaftTypes<R>>, Ended>>;

    fn pre_vote(
        &self,
        request: VoteRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<VoteResponse<RaftTypes<R>>, Ended>>;

    fn transfer_leader(
        &self,
        request: TransferLeaderRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<TransferLeaderResponse<RaftTypes<R>>, Ended>>;

    fn install_snapshot(
        &self,
        vote: Vote,
        meta: Meta,
        data: SnapshotData,
    ) -> BoxFuture<'static, Result<Vote, Ended>>;

    /// The vote it holds.
    fn held_vote(&self) -> Vote;

    /// The last entry that it knows committed.
    fn last_committed(&self) -> Option<LogId>;
}

/// openraft behind a `Port`.
pub(in crate::transport) struct RaftPort<R: Runtime, S: RaftStateMachine<RaftTypes<R>>> {
    raft: Raft<RaftTypes<R>, S>,
}

impl<R: Runtime, S> RaftPort<R, S>
where
    S: RaftStateMachine<RaftTypes<R>, SnapshotData = SnapshotData>,
{
    pub(in crate::transport) fn share(raft: Raft<RaftTypes<R>, S>) -> Arc<dyn Port<R>> {
        Arc::new(Self { raft })
    }
}

fn ended(error: impl ToString) -> Ended {
    Ended(error.to_string())
}

impl<R: Runtime, S> Port<R> for RaftPort<R, S>
where
    S: RaftStateMachine<RaftTypes<R>, SnapshotData = SnapshotData>,
{
    fn append_stream(
        &self,
        requests: BoxStream<'static, AppendOf<R>>,
    ) -> BoxStream<'static, Result<StreamAppendResult<RaftTypes<R>>, Ended>> {
        self.raft.stream_append(requests).map(|answer| answer.map_err(ended)).boxed()
    }

    fn append(
        &self,
        request: AppendOf<R>,
    ) -> BoxFuture<'static, Result<StreamAppendResult<RaftTypes<R>>, Ended>> {
        let raft = self.raft.clone();
        async move {
            let previous: Option<LogId> = request.prev_log_id;
            let last = request.entries.last().map(|entry| entry.log_id).or(previous);
            match raft.append_entries(request).await.map_err(ended)? {
                AppendEntriesResponse::Success => Ok(Ok(last)),
                AppendEntriesResponse::PartialSuccess(upto) => Ok(Ok(upto)),
                AppendEntriesResponse::HigherVote(vote) => Ok(Err(StreamAppendError::HigherVote(vote))),
                AppendEntriesResponse::Conflict => previous
                    .map(|at| Err(StreamAppendError::Conflict(at)))
                    .ok_or_else(|| Ended("conflict with the start of the log".to_owned())),
            }
        }
        .boxed()
    }

    fn vote(
        &self,
        request: VoteRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<VoteResponse<RaftTypes<R>>, Ended>> {
        let raft = self.raft.clone();
        async move { raft.vote(request).await.map_err(ended) }.boxed()
    }

    fn pre_vote(
        &self,
        request: VoteRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<VoteResponse<RaftTypes<R>>, Ended>> {
        let raft = self.raft.clone();
        async move { raft.pre_vote(request).await.map_err(ended) }.boxed()
    }

    fn transfer_leader(
        &self,
        request: TransferLeaderRequest<RaftTypes<R>>,
    ) -> BoxFuture<'static, Result<TransferLeaderResponse<RaftTypes<R>>, Ended>> {
        let raft = self.raft.clone();
        async move { raft.handle_transfer_leader(request).await.map_err(ended) }.boxed()
    }

    fn install_snapshot(
        &self,
        vote: Vote,
        meta: Meta,
        data: SnapshotData,
    ) -> BoxFuture<'static, Result<Vote, Ended>> {
        let raft = self.raft.clone();
        async move {
            let snapshot = Snapshot { meta, snapshot: data };
            let response = raft.install_full_snapshot(vote, snapshot).await.map_err(ended)?;
            Ok(response.vote)
        }
        .boxed()
    }

    fn held_vote(&self) -> Vote {
        self.raft.server_metrics().borrow_watched().vote
    }

    fn last_committed(&self) -> Option<LogId> {
        self.raft.metrics().borrow_watched().local_committed
    }
}
