//! Entries, and what a log looks like from outside, for the tests of the log store.
#![allow(dead_code)] // every test file uses a part

use std::sync::Arc;

use bytes::Bytes;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::storage::{IOFlushed, RaftLogStorage};
use openraft::type_config::TypeConfigExt;
use openraft::{EntryPayload, RaftLogReader};
use rowhouse_raft::codec::{Entry, LogId, Vote};
use rowhouse_raft::log_store::{LogEngine, LogStore, TailBudget};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::{Envelope, RaftTypes, ReplicaId};

pub const REPLICA: ReplicaId = 7;

pub fn log_id(term: u64, index: u64) -> LogId {
    LogId { leader_id: LeaderId { term, node_id: 1 }, index }
}

pub fn vote(term: u64, committed: bool) -> Vote {
    Vote { leader_id: LeaderId { term, node_id: 1 }, committed }
}

/// An entry whose payload tells term and index apart from every other one's.
pub fn entry(term: u64, index: u64, bytes: usize) -> Entry {
    let mut command = format!("{term}/{index}/").into_bytes();
    command.resize(command.len().max(bytes), b'.');
    let envelope = Envelope::of_command(Bytes::from(command), Bytes::new());
    Entry { log_id: log_id(term, index), payload: EntryPayload::Normal(envelope) }
}

pub async fn open<R: Runtime>(engine: Arc<dyn LogEngine>) -> LogStore<R> {
    LogStore::open(engine, REPLICA, TailBudget::new(1 << 20)).await.expect("the log opens")
}

pub type Flushed<R> = openraft::alias::OneshotReceiverOf<RaftTypes<R>, Result<(), std::io::Error>>;

/// Appends and returns what becomes of it.
pub async fn append<R: Runtime>(store: &mut LogStore<R>, entries: Vec<Entry>) -> Flushed<R> {
    let (done, flushed) = RaftTypes::<R>::oneshot();
    store.append(entries, IOFlushed::signal(done)).await.expect("the log takes the entries");
    flushed
}

/// What openraft sees of a log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Seen {
    pub purged: Option<LogId>,
    pub last: Option<LogId>,
    pub entries: Vec<Entry>,
    pub vote: Option<Vote>,
    pub committed: Option<LogId>,
}

pub async fn see<R: Runtime>(store: &mut LogStore<R>) -> Seen {
    let state = store.get_log_state().await.expect("log state");
    Seen {
        purged: state.last_purged_log_id,
        last: state.last_log_id,
        entries: store.try_get_log_entries(..).await.expect("entries"),
        vote: store.read_vote().await.expect("vote"),
        committed: store.read_committed().await.expect("committed"),
    }
}
