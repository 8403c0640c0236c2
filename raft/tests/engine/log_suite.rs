//! openraft's own storage suite over both engines, with a state machine that is just enough for it.

use std::io;
use std::sync::Arc;

use futures::{Stream, TryStreamExt};
use openraft::impls::leader_id_adv::LeaderId;
use openraft::storage::{EntryResponder, RaftSnapshotBuilder, RaftStateMachine, Snapshot, SnapshotMeta};
use openraft::testing::log::{StoreBuilder, Suite};
use openraft::{AsyncRuntime, EntryPayload, OptionalSend, StorageError};
use rowhouse_raft::codec::{LogId, StoredMembership};
use rowhouse_raft::log_store::{LogEngine, LogOptions, LogStore, RocksLog, TailBudget};
use rowhouse_raft::runtime::{Production, Runtime};
use rowhouse_raft::sim::{LossyLog, LossyOptions, Simulation};
use rowhouse_raft::{RaftTypes, Reply};

type Meta = SnapshotMeta<LeaderId<u64, u64>, u64, rowhouse_raft::Replica>;
type MemorySnapshot<R> = openraft::alias::SnapshotOf<RaftTypes<R>, ()>;

#[derive(Clone, Default)]
struct Machine {
    applied: Option<LogId>,
    membership: StoredMembership,
    snapshot: Arc<std::sync::Mutex<Option<Meta>>>,
}

impl<R: Runtime> RaftSnapshotBuilder<RaftTypes<R>> for Machine {
    type SnapshotData = ();

    async fn build_snapshot(&mut self) -> Result<MemorySnapshot<R>, io::Error> {
        let meta = Meta { last_log_id: self.applied, last_membership: self.membership.clone() };
        *self.snapshot.lock().expect("no test panics with it") = Some(meta.clone());
        Ok(Snapshot { meta, snapshot: () })
    }
}

impl<R: Runtime> RaftStateMachine<RaftTypes<R>> for Machine {
    type SnapshotData = ();
    type SnapshotBuilder = Self;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<Entries>(&mut self, mut entries: Entries) -> Result<(), io::Error>
    where
        Entries: Stream<Item = Result<EntryResponder<RaftTypes<R>>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some((entry, responder)) = entries.try_next().await? {
            self.applied = Some(entry.log_id);
            if let EntryPayload::Membership(membership) = entry.payload {
                self.membership = StoredMembership::new(self.applied, membership);
            }
            if let Some(responder) = responder {
                responder.send(Reply::default());
            }
        }
        Ok(())
    }

    async fn get_snapshot_builder(&mut self) -> Self {
        self.clone()
    }

    async fn install_snapshot(&mut self, meta: &Meta, (): ()) -> Result<(), io::Error> {
        self.applied = meta.last_log_id;
        self.membership = meta.last_membership.clone();
        *self.snapshot.lock().expect("no test panics with it") = Some(meta.clone());
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<MemorySnapshot<R>>, io::Error> {
        let meta = self.snapshot.lock().expect("no test panics with it").clone();
        Ok(meta.map(|meta| Snapshot { meta, snapshot: () }))
    }
}

async fn open<R: Runtime>(engine: Arc<dyn LogEngine>, tail_bytes: usize) -> LogStore<R> {
    let log = LogStore::open(engine, 1, TailBudget::new(tail_bytes)).await.expect("an empty log opens");
    // The suite's machine never says what it made durable: everything, so that purges are recorded.
    let leader_id = LeaderId { term: u64::MAX, node_id: 0 };
    log.handle().set_durable_applied(LogId { leader_id, index: u64::MAX - 1 });
    log
}

struct Rocks {
    /// 0 evicts whatever is durable, so that reads come from the database.
    tail_bytes: usize,
}

impl StoreBuilder<RaftTypes<Production>, LogStore<Production>, Machine, tempfile::TempDir> for Rocks {
    async fn build(
        &self,
    ) -> Result<(tempfile::TempDir, LogStore<Production>, Machine), StorageError<RaftTypes<Production>>> {
        let dir = tempfile::tempdir().expect("a temp dir");
        let engine = RocksLog::open(dir.path(), &LogOptions::new(4 << 20)).expect("an empty dir opens");
        Ok((dir, open(Arc::new(engine), self.tail_bytes).await, Machine::default()))
    }
}

struct Lossy {
    tail_bytes: usize,
}

impl<R: Runtime> StoreBuilder<RaftTypes<R>, LogStore<R>, Machine> for Lossy {
    async fn build(&self) -> Result<((), LogStore<R>, Machine), StorageError<RaftTypes<R>>> {
        let engine = LossyLog::<R>::new(LossyOptions::default());
        Ok(((), open(engine, self.tail_bytes).await, Machine::default()))
    }
}

#[test]
fn rocks_log_passes_from_its_tail() {
    Production::run(Suite::test_all(Rocks { tail_bytes: 1 << 20 })).expect("the suite passes");
}

#[test]
fn rocks_log_passes_without_a_tail() {
    Production::run(Suite::test_all(Rocks { tail_bytes: 0 })).expect("the suite passes");
}

#[test]
fn lossy_log_passes_in_simulation() {
    for tail_bytes in [1 << 20, 0] {
        let suite = Suite::<RaftTypes<Simulation>, _, _, _, _>::test_all(Lossy { tail_bytes });
        Simulation::with_seed(7).block_on(suite).expect("the suite passes");
    }
}

#[test]
fn lossy_log_passes_in_production() {
    let suite = Suite::<RaftTypes<Production>, _, _, _, _>::test_all(Lossy { tail_bytes: 1 << 20 });
    Production::run(suite).expect("the suite passes");
}
