//! A fixed sequence of committed entries, and groups to apply them to.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::storage::{RaftLogStorageExt, RaftStateMachine};
use openraft::{AsyncRuntime, EntryPayload};

use crate::codec::{Entry, LogId, Membership};
use crate::log_store::{LogHandle, LogStore, TailBudget};
use crate::runtime::Runtime;
use crate::sim::{KvCommand, KvMachine, LossyLog, LossyOptions, MemoryState, Simulation};
use crate::state::{Applied, GroupState, StateHandle, StateStore};
use crate::{Envelope, GroupId, Replica, ReplicaId};

pub const GROUP: GroupId = 3;
pub const REPLICA: ReplicaId = 1;
/// Entries of the committed sequence that tests use.
pub const ENTRIES: u64 = 150;
const TAIL_BYTES: usize = 1 << 20;

pub fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 9 }, index }
}

/// Every entry has a term of its own, so that one of a leader that failed fits in before it.
fn term(index: u64) -> u64 {
    2 * index + 2
}

/// The committed entry at `index`: the same in every test, from 0 on.
pub fn committed(index: u64) -> Entry {
    let payload = match index {
        _ if index % 13 == 5 => EntryPayload::Blank,
        _ if index.is_multiple_of(11) => {
            let voters: BTreeSet<ReplicaId> = (1..=3 + index % 3).collect();
            let nodes: BTreeMap<ReplicaId, Replica> =
                voters.iter().map(|id| (*id, Replica { node_uuid: [*id as u8; 16] })).collect();
            EntryPayload::Membership(Membership::new(vec![voters], nodes).expect("voters with nodes"))
        }
        _ => normal(index),
    };
    Entry { log_id: log_id(term(index), index), payload }
}

fn normal(index: u64) -> EntryPayload<Envelope, ReplicaId, Replica> {
    // Every tenth request repeats the one before it.
    let request = u128::from(if index % 10 == 4 { index - 1 } else { index }).to_be_bytes();
    let key = format!("key {}", index % 7);
    let command = if index % 6 == 1 {
        KvCommand::delete(request, key)
    } else {
        KvCommand::put(request, key, format!("value {index}"))
    };
    EntryPayload::Normal(Envelope::of_command(command.encode(), Bytes::new()))
}

/// What a leader that never committed it left at `index`.
pub fn uncommitted(index: u64) -> Entry {
    Entry { log_id: log_id(term(index) - 1, index), payload: normal(index + 1_000) }
}

/// State after `committed(0..=index)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expected {
    pub applied: Applied,
    pub records: Vec<(Bytes, Bytes)>,
}

/// By index, each entry applied by itself.
pub fn expected(index: u64) -> &'static Expected {
    static STATES: OnceLock<Vec<Expected>> = OnceLock::new();
    let states = STATES.get_or_init(|| {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| simulate(0, each_state()));
            worker.join().expect("the reference states")
        })
    });
    &states[index as usize]
}

async fn each_state() -> Vec<Expected> {
    let mut states = Vec::new();
    let mut group = Group::fresh().await;
    for index in 0..ENTRIES {
        group.apply(index..index + 1).await;
        states.push(observe(&group.state.handle()));
    }
    states
}

pub fn observe(handle: &StateHandle) -> Expected {
    let records = handle.read(KvMachine::records).expect("records");
    Expected { applied: handle.applied(), records }
}

pub fn simulate<T: Send>(seed: u64, test: impl Future<Output = T>) -> T {
    Simulation::with_seed(seed).block_on(test)
}

/// A group over stores in memory, its log empty.
pub struct Group {
    pub engine: Arc<MemoryState>,
    pub store: Arc<StateStore>,
    pub state: GroupState<Simulation>,
}

impl Group {
    pub async fn fresh() -> Self {
        Self::over(Arc::new(MemoryState::new())).await
    }

    pub async fn over(engine: Arc<MemoryState>) -> Self {
        let store = StateStore::open(engine.clone(), PathBuf::new()).expect("open the store");
        let log = empty_log::<Simulation>().await;
        let state = open(&store, log).await;
        Self { engine, store, state }
    }

    pub async fn apply(&mut self, range: std::ops::Range<u64>) {
        apply(&mut self.state, range).await;
    }
}

/// A log without entries: nothing to wait for.
pub async fn empty_log<R: Runtime>() -> LogHandle<R> {
    // No time passes: what others have in flight stays so.
    let options = LossyOptions { sync_delay_max: Duration::ZERO, ..LossyOptions::default() };
    let engine = LossyLog::<R>::new(options);
    let log = LogStore::<R>::open(engine, REPLICA, TailBudget::new(TAIL_BYTES)).await.expect("open the log");
    log.handle()
}

/// A log that holds the first `entries` of the sequence, durable.
pub async fn full_log(entries: u64) -> LogHandle<Simulation> {
    let engine = LossyLog::<Simulation>::new(LossyOptions::default());
    let budget = TailBudget::new(TAIL_BYTES);
    let mut log = LogStore::<Simulation>::open(engine, REPLICA, budget).await.expect("open the log");
    log.blocking_append((0..entries).map(committed)).await.expect("append");
    log.handle()
}

pub async fn open<R: Runtime>(store: &Arc<StateStore>, log: LogHandle<R>) -> GroupState<R> {
    GroupState::open(store.clone(), GROUP, Arc::new(KvMachine), log).await.expect("open the group")
}

pub async fn apply<R: Runtime>(state: &mut GroupState<R>, range: std::ops::Range<u64>) {
    let entries = futures::stream::iter(range.map(|index| Ok((committed(index), None))));
    state.apply(entries).await.expect("apply");
}
