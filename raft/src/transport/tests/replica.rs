//! A replica that answers as its script says, and a pair of nodes to put it on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use openraft::AsyncRuntime;
use openraft::EntryPayload;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::network::{RPCOption, RaftNetworkFactory};
use openraft::raft::{
    StreamAppendError, StreamAppendResult, TransferLeaderRequest, TransferLeaderResponse, VoteRequest,
    VoteResponse,
};

use crate::codec::{Entry, LogId, Vote};
use crate::config::RaftTiming;
use crate::runtime::Runtime;
use crate::sim::{SimNet, SimWeather, Simulation};
use crate::state::SnapshotData;
use crate::transport::incoming::port::{Ended, Port};
use crate::transport::wire::message::{AppendOf, Meta};
use crate::transport::{GroupNetwork, NodeUuid, Transport, VoteGuard};
use crate::{RaftTypes, Replica};

pub(super) type Types = RaftTypes<Simulation>;

pub(super) const A: NodeUuid = [0xA; 16];
pub(super) const B: NodeUuid = [0xB; 16];
pub(super) const GROUP: u16 = 3;
pub(super) const LEADER: u64 = 10;
pub(super) const FOLLOWER: u64 = 20;

pub(super) fn sim<T>(seed: u64, test: impl Future<Output = T>) -> T {
    Simulation::with_seed(seed).block_on(test)
}

pub(super) fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: LEADER }, index }
}

/// One entry, following what was sent before.
pub(super) fn append<R: Runtime>(index: u64) -> AppendOf<R> {
    AppendOf::<R> {
        vote: Vote::new_committed(1, LEADER),
        prev_log_id: index.checked_sub(1).map(log_id),
        entries: vec![Entry { log_id: log_id(index), payload: EntryPayload::Blank }],
        leader_commit: None,
    }
}

pub(super) fn option() -> RPCOption {
    RPCOption::new(Duration::from_millis(150))
}

#[derive(Default)]
pub(super) struct Scripted {
    /// Never answers an append.
    pub silent: bool,
    /// Answers this index with a conflict.
    pub conflict_at: Option<u64>,
    pub votes: AtomicUsize,
    /// Requests of streams received, and answered.
    pub received: Arc<AtomicU64>,
    pub answered: Arc<AtomicU64>,
    /// The most that were received and not answered.
    pub ahead: Arc<AtomicU64>,
    pub streams_ended: Arc<AtomicUsize>,
}

/// Counts when it is dropped, with its stream.
struct Ending(Arc<AtomicUsize>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Scripted {
    fn result(&self, request: &AppendOf<Simulation>) -> StreamAppendResult<Types> {
        let last = request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id);
        match last {
            Some(last) if Some(last.index) == self.conflict_at => Err(StreamAppendError::Conflict(last)),
            last => Ok(last),
        }
    }
}

impl Port<Simulation> for Scripted {
    fn append_stream(
        &self,
        requests: BoxStream<'static, AppendOf<Simulation>>,
    ) -> BoxStream<'static, Result<StreamAppendResult<Types>, Ended>> {
        let (received, ahead, silent) = (self.received.clone(), self.ahead.clone(), self.silent);
        let (answered, conflict_at) = (self.answered.clone(), self.conflict_at);
        let counted = answered.clone();
        let ending = Ending(self.streams_ended.clone());
        requests
            .map(move |request| {
                let total = received.fetch_add(1, Ordering::Relaxed) + 1;
                ahead.fetch_max(total - answered.load(Ordering::Relaxed), Ordering::Relaxed);
                async move {
                    if silent {
                        std::future::pending::<()>().await;
                    }
                    Simulation::sleep(Duration::from_micros(Simulation::random_u64() % 3000)).await;
                    Ok(Self { conflict_at, ..Self::default() }.result(&request))
                }
            })
            .buffered(256)
            .inspect(move |_| {
                let _ending = &ending;
                counted.fetch_add(1, Ordering::Relaxed);
            })
            .boxed()
    }

    fn append(
        &self,
        request: AppendOf<Simulation>,
    ) -> BoxFuture<'static, Result<StreamAppendResult<Types>, Ended>> {
        let (result, silent) = (self.result(&request), self.silent);
        async move {
            if silent {
                std::future::pending::<()>().await;
            }
            Ok(result)
        }
        .boxed()
    }

    fn vote(&self, request: VoteRequest<Types>) -> BoxFuture<'static, Result<VoteResponse<Types>, Ended>> {
        self.votes.fetch_add(1, Ordering::Relaxed);
        async move { Ok(VoteResponse::new(request.vote, None, true)) }.boxed()
    }

    fn pre_vote(
        &self,
        request: VoteRequest<Types>,
    ) -> BoxFuture<'static, Result<VoteResponse<Types>, Ended>> {
        self.vote(request)
    }

    fn transfer_leader(
        &self,
        request: TransferLeaderRequest<Types>,
    ) -> BoxFuture<'static, Result<TransferLeaderResponse<Types>, Ended>> {
        let expected = *request.from_leader();
        let actual = Vote::new(9, 9);
        async move { Ok(Err(openraft::raft::TransferLeaderError::VoteChanged { expected, actual })) }.boxed()
    }

    fn install_snapshot(&self, _: Vote, _: Meta, _: SnapshotData) -> BoxFuture<'static, Result<Vote, Ended>> {
        async move { Err(Ended("a script installs nothing".to_owned())) }.boxed()
    }

    fn held_vote(&self) -> Vote {
        Vote::new_committed(1, LEADER)
    }

    fn last_committed(&self) -> Option<LogId> {
        None
    }
}

/// Node A, which asks, and node B, which hosts the scripted follower.
pub(super) struct Pair {
    pub net: SimNet<Simulation>,
    pub a: Arc<Transport<Simulation>>,
    pub b: Arc<Transport<Simulation>>,
    pub follower: Arc<Scripted>,
}

impl Pair {
    pub fn new(follower: Scripted) -> Self {
        Self::guarded(follower, VoteGuard::new(None, Duration::ZERO))
    }

    pub fn guarded(follower: Scripted, guard: VoteGuard<Simulation>) -> Self {
        let net = SimNet::new(SimWeather::default());
        let a = Transport::new(net.wire(A), std::env::temp_dir(), RaftTiming::default());
        let b = Transport::new(net.wire(B), std::env::temp_dir(), RaftTiming::default());
        let follower = Arc::new(follower);
        b.host(GROUP, FOLLOWER, follower.clone(), guard);
        Self { net, a, b, follower }
    }

    /// The way to a replica on B for entries.
    pub async fn log(&self, to: u64) -> GroupNetwork<Simulation> {
        self.a.network(GROUP, LEADER).new_client(to, &Replica { node_uuid: B }).await
    }

    /// The way to a replica on B for heartbeats.
    pub async fn control(&self, to: u64) -> GroupNetwork<Simulation> {
        self.a.network(GROUP, LEADER).new_heartbeat_client(to, &Replica { node_uuid: B }).await
    }
}

/// Polls until `done`, for at most a minute of simulated time.
pub(super) async fn eventually(what: &str, done: impl Fn() -> bool) {
    for _ in 0..6000 {
        if done() {
            return;
        }
        Simulation::sleep(Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}
