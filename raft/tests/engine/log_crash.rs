//! Crashes at any point. What a restart finds must be exactly what some prefix of the submissions left
//! behind, and that prefix holds everything that was acknowledged: then nothing acknowledged is
//! missing, nothing is reordered, the log has no hole and the vote never goes back.

use crate::log_kit;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use log_kit::{Flushed, Seen, append, entry, log_id, open, see, vote};
use openraft::AsyncRuntime;
use openraft::storage::RaftLogStorage;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use rowhouse_raft::codec::{Entry, LogId, Vote};
use rowhouse_raft::log_store::{LogEngine, LogOptions, LogStore, RocksLog};
use rowhouse_raft::planted::PlantedInLog;
use rowhouse_raft::runtime::{Production, Runtime};
use rowhouse_raft::sim::{LossyLog, LossyOptions, Simulation};

/// Positions are shares of what is there when the step runs, in 1/255.
#[derive(Clone, Debug)]
enum Step {
    Append {
        count: u8,
        bytes: u16,
    },
    Truncate {
        keep: u8,
    },
    Vote {
        committed: bool,
    },
    Committed {
        upto: u8,
    },
    DurableApplied {
        upto: u8,
    },
    Purge {
        upto: u8,
    },
    /// A snapshot from the leader that ends behind this log.
    Snapshot {
        beyond: u8,
    },
    Sync,
    Pause {
        us: u16,
    },
    /// Of the unsynced submissions this many happen to survive.
    Crash {
        survivors: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (1..6_u8, 0..300_u16).prop_map(|(count, bytes)| Step::Append { count, bytes }),
        2 => any::<u8>().prop_map(|keep| Step::Truncate { keep }),
        2 => any::<bool>().prop_map(|committed| Step::Vote { committed }),
        2 => any::<u8>().prop_map(|upto| Step::Committed { upto }),
        2 => any::<u8>().prop_map(|upto| Step::DurableApplied { upto }),
        2 => any::<u8>().prop_map(|upto| Step::Purge { upto }),
        1 => (0..50_u8).prop_map(|beyond| Step::Snapshot { beyond }),
        2 => Just(Step::Sync),
        4 => (0..9_000_u16).prop_map(|us| Step::Pause { us }),
        3 => (0..4_u8).prop_map(|survivors| Step::Crash { survivors }),
    ];
    prop::collection::vec(step, 1..60)
}

/// What the submissions so far leave on a disk that loses none of them.
#[derive(Clone, Default)]
struct Disk {
    entries: BTreeMap<u64, Entry>,
    recorded: Option<LogId>,
    vote: Option<Vote>,
    committed: Option<LogId>,
}

fn next(id: Option<LogId>) -> u64 {
    id.map_or(0, |id| id.index + 1)
}

impl Disk {
    fn seen(&self, purged: Option<LogId>) -> Seen {
        let entries: Vec<Entry> =
            self.entries.range(next(purged)..).map(|(_, entry)| entry.clone()).collect();
        let last = entries.last().map(|entry| entry.log_id).or(purged);
        Seen { purged, last, entries, vote: self.vote, committed: self.committed }
    }
}

struct Model<R: Runtime> {
    disk: Disk,
    purged: Option<LogId>,
    durable: Option<LogId>,
    term: u64,
    /// After each submission; `acked` is the newest that must survive, `synced` the newest that asked to.
    states: Vec<Disk>,
    acked: usize,
    synced: usize,
    /// Which submission wrote an entry, and what is still to be answered.
    written: BTreeMap<u64, usize>,
    pending: Vec<(usize, Flushed<R>)>,
}

impl<R: Runtime> Model<R> {
    fn new(disk: Disk, durable: Option<LogId>, term: u64) -> Self {
        let (purged, states) = (disk.recorded, vec![disk.clone()]);
        let (written, pending) = (BTreeMap::new(), Vec::new());
        Self { disk, purged, durable, term, states, acked: 0, synced: 0, written, pending }
    }

    fn submitted(&mut self, sync: bool) -> usize {
        self.states.push(self.disk.clone());
        let number = self.states.len() - 1;
        self.synced = if sync { number } else { self.synced };
        number
    }

    fn last(&self) -> Option<LogId> {
        self.disk.seen(self.purged).last
    }

    /// An entry's id between two indexes, both inclusive.
    fn pick(&self, share: u8, from: u64, to: u64) -> Option<LogId> {
        let span = to.checked_sub(from)?;
        let index = from + span * u64::from(share) / 255;
        self.disk.entries.get(&index).map(|entry| entry.log_id)
    }

    /// docs/rules/storage.md#purge-behind-durable-state: the log is released as far as the state machine is durable.
    fn release(&mut self) {
        let (Some(purged), Some(durable)) = (self.purged, self.durable) else { return };
        let upto = if purged.index <= durable.index { purged } else { durable };
        if next(Some(upto)) > next(self.disk.recorded) {
            self.disk.recorded = Some(upto);
            self.submitted(true);
        }
    }

    fn collect_acks(&mut self) {
        for (number, flushed) in &mut self.pending {
            if let Some(answer) = flushed.now_or_never() {
                assert!(matches!(answer, Ok(Ok(()))), "a sync failed");
                self.acked = self.acked.max(*number);
            }
        }
    }

    async fn take(&mut self, step: &Step, store: &mut LogStore<R>) {
        match *step {
            Step::Append { count, bytes } => self.append(count.into(), bytes.into(), store).await,
            Step::Truncate { keep } => self.truncate(keep, store).await,
            Step::Vote { committed } => {
                self.term += 1;
                let vote = vote(self.term, committed);
                self.disk.vote = Some(vote);
                let number = self.submitted(true);
                store.save_vote(&vote).await.expect("saves the vote");
                self.acked = number;
            }
            Step::Committed { upto } => {
                let from = next(self.disk.committed).max(next(self.purged));
                let Some(upto) = self.pick(upto, from, next(self.last()).max(1) - 1) else { return };
                self.disk.committed = Some(upto);
                self.submitted(false);
                store.save_committed(Some(upto)).await.expect("saves committed");
            }
            Step::DurableApplied { upto } => self.durable_applied(upto, store).await,
            Step::Purge { upto } => {
                let to = next(self.disk.committed).max(1) - 1;
                if let Some(upto) = self.pick(upto, next(self.purged), to) {
                    self.purge(upto, store).await;
                }
            }
            Step::Snapshot { beyond } => {
                let upto = log_id(self.term, next(self.last()) + u64::from(beyond));
                self.sync(store).await;
                self.durable = Some(upto);
                store.handle().set_durable_applied(upto);
                self.release();
                self.purge(upto, store).await;
            }
            Step::Sync => self.sync(store).await,
            Step::Pause { us } => R::sleep(Duration::from_micros(us.into())).await,
            Step::Crash { .. } => {}
        }
    }

    async fn append(&mut self, count: u64, bytes: usize, store: &mut LogStore<R>) {
        let first = next(self.last());
        let entries: Vec<Entry> =
            (first..first + count).map(|index| entry(self.term, index, bytes)).collect();
        self.disk.entries.extend(entries.iter().map(|entry| (entry.log_id.index, entry.clone())));
        let number = self.submitted(true);
        self.written.extend(entries.iter().map(|entry| (entry.log_id.index, number)));
        self.pending.push((number, append(store, entries).await));
    }

    /// Never what is committed.
    async fn truncate(&mut self, keep: u8, store: &mut LogStore<R>) {
        let floor = next(self.disk.committed).max(next(self.purged)).max(1) - 1;
        let Some(keep) = self.pick(keep, floor, next(self.last()).max(1) - 1) else { return };
        store.truncate_after(Some(keep)).await.expect("truncates");
        if next(Some(keep)) < next(self.last()) {
            self.disk.entries.split_off(&next(Some(keep)));
            self.term += 1;
            self.submitted(true);
        }
    }

    /// State reaches the disk only behind its log (docs/rules/storage.md#log-before-state).
    async fn durable_applied(&mut self, upto: u8, store: &mut LogStore<R>) {
        let to = next(self.disk.committed).max(1) - 1;
        let Some(upto) = self.pick(upto, next(self.disk.recorded), to) else { return };
        store.handle().synced(upto.index).await.expect("syncs");
        self.acked = self.acked.max(self.written.get(&upto.index).copied().unwrap_or(0));
        if next(Some(upto)) > next(self.durable) {
            self.durable = Some(upto);
            store.handle().set_durable_applied(upto);
            self.release();
        }
    }

    async fn purge(&mut self, upto: LogId, store: &mut LogStore<R>) {
        store.purge(upto).await.expect("purges");
        self.purged = Some(upto);
        self.release();
    }

    /// What the host does at a start that finds the state ahead of its log (R8b).
    async fn catch_up_with_state(&mut self, store: &LogStore<R>) {
        let Some(durable) = self.durable else { return };
        if next(Some(durable)) > next(self.last()) {
            store.handle().reset_to(durable).await.expect("resets");
            self.disk = Disk { recorded: Some(durable), vote: self.disk.vote, ..Disk::default() };
            self.purged = Some(durable);
            self.acked = self.submitted(true);
        } else {
            store.handle().set_durable_applied(durable);
        }
    }

    async fn sync(&mut self, store: &LogStore<R>) {
        store.handle().synced_all().await.expect("syncs");
        self.acked = self.synced;
    }

    /// The state that a restart found, which must be one that a crash may leave.
    fn recover(mut self, found: &Seen, drained: bool) -> Result<Self, TestCaseError> {
        let oldest = if drained { self.states.len() - 1 } else { self.acked };
        let legal = self.states.drain(oldest..).rev().find(|disk| disk.seen(disk.recorded) == *found);
        let Some(disk) = legal else {
            return Err(TestCaseError::fail(format!(
                "no submission since the last acknowledged left {found:?}"
            )));
        };
        Ok(Self::new(disk, self.durable, self.term + 1))
    }
}

/// Takes the steps; `restart` ends the machine and returns its log at the next start, which has lost
/// nothing if `drained`.
async fn run<R: Runtime>(
    steps: &[Step],
    mut engine: Arc<dyn LogEngine>,
    drained: bool,
    mut restart: impl FnMut(usize) -> Arc<dyn LogEngine>,
) -> Result<(), TestCaseError> {
    let mut model = Model::<R>::new(Disk::default(), None, 1);
    let mut store = open::<R>(engine).await;
    for step in steps {
        if let Step::Crash { survivors } = step {
            model.collect_acks();
            drop(store);
            engine = restart((*survivors).into());
            store =
                LogStore::open(engine, log_kit::REPLICA, rowhouse_raft::log_store::TailBudget::new(4_000))
                    .await
                    .map_err(|error| TestCaseError::fail(error.to_string()))?;
            model = model.recover(&see(&mut store).await, drained)?;
            model.catch_up_with_state(&store).await;
        } else {
            model.take(step, &mut store).await;
        }
        let (now, expected) = (see(&mut store).await, model.disk.seen(model.purged));
        prop_assert_eq!(now, expected, "after {:?}", step);
    }
    Ok(())
}

fn run_lossy(seed: u64, steps: &[Step], planted: PlantedInLog) -> Result<(), TestCaseError> {
    let options = LossyOptions { planted, ..LossyOptions::default() };
    Simulation::with_seed(seed).block_on(async {
        let mut machine = LossyLog::<Simulation>::new(options);
        run::<Simulation>(steps, machine.clone(), false, move |survivors| {
            machine = machine.crash(survivors);
            machine.clone()
        })
        .await
    })
}

#[test]
fn a_crashed_log_is_a_prefix_with_everything_acknowledged() {
    // More by PROPTEST_CASES.
    let default = ProptestConfig::default();
    let config = ProptestConfig { cases: default.cases.max(400), failure_persistence: None, ..default };
    TestRunner::new(config)
        .run(&(any::<u64>(), steps()), |(seed, steps)| run_lossy(seed, &steps, PlantedInLog::default()))
        .expect("the property holds");
}

#[test]
fn a_reopened_rocks_log_is_what_was_submitted() {
    // Each restart opens a database: few cases, the same steps.
    let config = ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() };
    let case = |steps: Vec<Step>| {
        let dir = tempfile::tempdir().expect("a temp dir");
        let path = dir.path().to_owned();
        let reopen = move |_| -> Arc<dyn LogEngine> {
            Arc::new(RocksLog::open(&path, &LogOptions::new(4 << 20)).expect("the log opens again"))
        };
        Production::run(async {
            let engine = reopen(0);
            run::<Production>(&steps, engine, true, reopen).await
        })
    };
    TestRunner::new(config).run(&steps(), case).expect("the property holds");
}

#[test]
fn the_same_seed_gives_the_same_log() {
    let steps: Vec<Step> = (0..40)
        .map(|at| match at % 4 {
            0 | 1 => Step::Append { count: 3, bytes: 20 },
            2 => Step::Pause { us: 900 },
            _ => Step::Crash { survivors: 1 },
        })
        .collect();
    let trace = || {
        let mut runtime = Simulation::with_seed(11);
        runtime.record_trace(true);
        runtime.block_on(async {
            let mut machine = LossyLog::<Simulation>::new(LossyOptions::default());
            run::<Simulation>(&steps, machine.clone(), false, move |survivors| {
                machine = machine.crash(survivors);
                machine.clone()
            })
            .await
            .expect("the property holds");
        });
        runtime.take_trace()
    };
    assert_eq!(trace(), trace());
}

/// The property must find the planted bug: an acknowledgement before the sync.
#[cfg(feature = "planted-bugs")]
#[test]
fn acknowledging_before_the_sync_is_found() {
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let planted = PlantedInLog { ack_before_sync: true };
    let found = TestRunner::new(config)
        .run(&(any::<u64>(), steps()), |(seed, steps)| run_lossy(seed, &steps, planted));
    assert!(found.is_err(), "the crash property did not notice that acknowledged entries were lost");
}
