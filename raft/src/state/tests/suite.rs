//! openraft's own storage suite over every pairing of log and state engine.

use std::marker::PhantomData;
use std::path::Path;
use std::sync::Arc;

use openraft::StorageError;
use openraft::impls::leader_id_adv::LeaderId;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;

use super::gapless::Gapless;
use super::kit::{self, REPLICA, simulate};
use super::snapshot::run_production;
use crate::RaftTypes;
use crate::codec::LogId;
use crate::log_store::{LogEngine, LogOptions, LogStore, RocksLog, TailBudget};
use crate::runtime::{Production, Runtime};
use crate::sim::{LossyLog, LossyOptions, MemoryState, Simulation};
use crate::state::{RocksState, StateEngine, StateOptions, StateStore};

const MEMORY_BYTES: usize = 8 << 20;

/// Opens both engines in a directory of their own.
struct Engines<R> {
    log: fn(&Path) -> Arc<dyn LogEngine>,
    state: fn(&Path) -> Arc<dyn StateEngine>,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> StoreBuilder<RaftTypes<R>, LogStore<R>, Gapless<R>, TempDir> for Engines<R> {
    async fn build(&self) -> Result<(TempDir, LogStore<R>, Gapless<R>), StorageError<RaftTypes<R>>> {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let budget = TailBudget::new(MEMORY_BYTES);
        let log = LogStore::<R>::open((self.log)(dir.path()), REPLICA, budget).await.expect("open the log");
        // The suite purges what no machine applied; nothing is to hold that back.
        let leader_id = LeaderId { term: u64::MAX, node_id: 0 };
        log.handle().set_durable_applied(LogId { leader_id, index: u64::MAX - 1 });
        let engine = (self.state)(dir.path());
        let store = StateStore::open(engine, dir.path().join("staging")).expect("open the store");
        let state = Gapless(kit::open(&store, log.handle()).await);
        Ok((dir, log, state))
    }
}

async fn run<R: Runtime>(log: fn(&Path) -> Arc<dyn LogEngine>, state: fn(&Path) -> Arc<dyn StateEngine>) {
    let engines = Engines::<R> { log, state, runtime: PhantomData };
    Suite::test_all(engines).await.expect("every test of the suite passes");
}

fn lossy<R: Runtime>(_: &Path) -> Arc<dyn LogEngine> {
    LossyLog::<R>::new(LossyOptions::default())
}

fn rocks_log(dir: &Path) -> Arc<dyn LogEngine> {
    let options = LogOptions::new(MEMORY_BYTES);
    Arc::new(RocksLog::open(&dir.join("log"), &options).expect("open the log database"))
}

fn memory(_: &Path) -> Arc<dyn StateEngine> {
    Arc::new(MemoryState::new())
}

fn rocks(dir: &Path) -> Arc<dyn StateEngine> {
    let options = StateOptions::new(MEMORY_BYTES);
    Arc::new(RocksState::open(&dir.join("state"), options).expect("open the state database"))
}

#[test]
fn lossy_log_and_memory_state() {
    simulate(7, run::<Simulation>(lossy::<Simulation>, memory));
}

#[test]
fn lossy_log_and_rocks_state() {
    simulate(7, run::<Simulation>(lossy::<Simulation>, rocks));
}

#[test]
fn rocks_log_and_memory_state() {
    run_production(run::<Production>(rocks_log, memory));
}

#[test]
fn rocks_log_and_rocks_state() {
    run_production(run::<Production>(rocks_log, rocks));
}
