//! Both stores of a replica crash between any two of {truncate, append, apply, flush, purge, install}
//! and within apply and install. What comes up again is the state of the committed sequence at some
//! index, with a log that leads on from there, nothing acknowledged or durable missing.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures::StreamExt;
use futures::future::{self, Either};
use openraft::storage::{IOFlushed, RaftLogStorage, RaftStateMachine};
use openraft::type_config::TypeConfigExt;
use openraft::{AsyncRuntime, RaftLogReader, RaftSnapshotBuilder};
use proptest::prelude::*;

use super::kit::{self, ENTRIES, Group, REPLICA, committed, expected, observe, simulate, uncommitted};
use crate::codec::{Entry, LogId};
use crate::log_store::{LogStore, TailBudget};
use crate::sim::{LossyLog, LossyOptions, MemoryState, Simulation};
use crate::state::{GroupState, SnapshotSink, StateStore};
use crate::{Error, RaftTypes};

type Types = RaftTypes<Simulation>;

/// Longer than any sync takes.
const SETTLE: Duration = Duration::from_millis(50);
const TAIL_BYTES: usize = 1 << 20;

#[derive(Clone, Debug)]
struct Crash {
    /// When, counted from the start of the step it cuts.
    after_us: u64,
    /// Unsynced submissions and unflushed writes that happen to be on the disk.
    log_survivors: usize,
    state_survivors: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Append(u64),
    /// Entries of a leader that will not commit them; the next `Append` truncates them.
    AppendUncommitted(u64),
    Apply(u64, Option<Crash>),
    Flush,
    /// Up to what is durable, or, as openraft may after a start, up to what is applied.
    Purge {
        beyond: bool,
    },
    Install {
        ahead: u64,
        crash: Option<Crash>,
    },
    Wait(u64),
    Crash(Crash),
}

fn crash() -> impl Strategy<Value = Crash> {
    (0u64..12_000, 0usize..6, 0usize..4).prop_map(|(after_us, log_survivors, state_survivors)| Crash {
        after_us,
        log_survivors,
        state_survivors,
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        5 => (1u64..8).prop_map(Step::Append),
        2 => (1u64..4).prop_map(Step::AppendUncommitted),
        5 => (1u64..12, prop::option::weighted(0.2, crash())).prop_map(|(n, crash)| Step::Apply(n, crash)),
        2 => Just(Step::Flush),
        2 => any::<bool>().prop_map(|beyond| Step::Purge { beyond }),
        1 => (1u64..15, prop::option::weighted(0.5, crash())).prop_map(|(ahead, crash)| Step::Install { ahead, crash }),
        2 => (0u64..9_000).prop_map(Step::Wait),
        2 => crash().prop_map(Step::Crash),
    ]
}

/// One replica over its two disks.
struct Replica {
    log_disk: Arc<LossyLog<Simulation>>,
    state_disk: Arc<MemoryState>,
    run: Run,
    /// The log holds the committed sequence below this index (what is purged included) …
    good: u64,
    /// … and then so many entries that nobody commits.
    bad: u64,
    /// Committed entries below this were acknowledged as durable.
    acknowledged: Arc<AtomicU64>,
    /// Where snapshots were installed, or nearly so.
    installed: BTreeSet<u64>,
}

/// What `step` gives, unless the crash comes first.
async fn cut<T>(step: impl Future<Output = T>, crash: &Crash) -> Option<T> {
    let crashed = Simulation::sleep(Duration::from_micros(crash.after_us));
    match future::select(pin!(step), pin!(crashed)).await {
        Either::Left((done, _)) => Some(done),
        Either::Right(_) => None,
    }
}

/// From a start to a crash.
struct Run {
    store: Arc<StateStore>,
    log: LogStore<Simulation>,
    state: GroupState<Simulation>,
}

impl Run {
    async fn start(
        log_disk: &Arc<LossyLog<Simulation>>,
        state_disk: &Arc<MemoryState>,
        check: Check<'_>,
    ) -> Self {
        let budget = TailBudget::new(TAIL_BYTES);
        let log =
            LogStore::<Simulation>::open(log_disk.clone(), REPLICA, budget).await.expect("open the log");
        let store = StateStore::open(state_disk.clone(), PathBuf::new()).expect("open the store");
        check.log_leads_to_state(&log, &store).await;
        let state = kit::open(&store, log.handle()).await;
        Self { store, log, state }
    }

    fn applied(&self) -> Option<LogId> {
        self.state.handle().applied().log_id
    }

    fn next_to_apply(&self) -> u64 {
        self.applied().map_or(0, |id| id.index + 1)
    }
}

/// docs/rules/storage.md#log-before-state: what was applied entry by entry is in the log as the crash left it. Only a
/// snapshot may be ahead of it.
struct Check<'a> {
    installed: &'a BTreeSet<u64>,
}

impl Check<'_> {
    async fn log_leads_to_state(&self, log: &LogStore<Simulation>, store: &StateStore) {
        let Some(applied) = store.slot(kit::GROUP).applied().log_id else { return };
        if self.installed.contains(&applied.index) {
            return;
        }
        let held = log.handle().log_id_at(applied.index).await.expect("read the log");
        assert_eq!(held, Some(applied), "the state is ahead of the synced log");
    }
}

impl Replica {
    async fn new() -> Self {
        let log_disk = LossyLog::new(LossyOptions::default());
        let state_disk = Arc::new(MemoryState::new());
        let run = Run::start(&log_disk, &state_disk, Check { installed: &BTreeSet::new() }).await;
        let (acknowledged, installed) = (Arc::default(), BTreeSet::new());
        Self { log_disk, state_disk, run, good: 0, bad: 0, acknowledged, installed }
    }

    async fn step(&mut self, step: Step) {
        match step {
            Step::Append(entries) => self.append(entries).await,
            Step::AppendUncommitted(entries) => {
                let from = self.good + self.bad;
                self.bad += entries;
                self.submit((from..from + entries).map(uncommitted).collect(), None).await;
            }
            Step::Apply(entries, crash) => self.apply(entries, crash).await,
            Step::Flush => self.run.store.flush_all().expect("flush"),
            Step::Purge { beyond } => self.purge(beyond).await,
            Step::Install { ahead, crash } => self.install(ahead, crash).await,
            Step::Wait(us) => Simulation::sleep(Duration::from_micros(us)).await,
            Step::Crash(crash) => {
                Simulation::sleep(Duration::from_micros(crash.after_us)).await;
                self.crash(&crash).await;
            }
        }
    }

    async fn append(&mut self, entries: u64) {
        self.truncate().await;
        let end = (self.good + entries).min(ENTRIES);
        let range = self.good..end;
        self.good = end;
        if !range.is_empty() {
            self.submit(range.map(committed).collect(), Some(end)).await;
        }
    }

    async fn truncate(&mut self) {
        if std::mem::take(&mut self.bad) > 0 {
            let last = self.good.checked_sub(1).map(|index| committed(index).log_id);
            self.run.log.truncate_after(last).await.expect("truncate");
        }
    }

    async fn submit(&mut self, entries: Vec<Entry>, good_below: Option<u64>) {
        let (done, flushed) = Types::oneshot();
        self.run.log.append(entries, IOFlushed::signal(done)).await.expect("append");
        let acknowledged = self.acknowledged.clone();
        drop(Simulation::spawn(async move {
            if let (Ok(Ok(())), Some(below)) = (flushed.await, good_below) {
                acknowledged.fetch_max(below, Ordering::SeqCst);
            }
        }));
    }

    /// Whatever is committed may be applied as soon as it is in the log, synced or not.
    async fn apply(&mut self, entries: u64, crash: Option<Crash>) {
        let from = self.run.next_to_apply();
        let range: Range<u64> = from..(from + entries).min(self.good);
        if range.is_empty() {
            return;
        }
        let last = committed(range.end - 1).log_id;
        self.run.log.save_committed(Some(last)).await.expect("save committed");
        let mut reader = self.run.log.get_log_reader().await;
        let stream = reader.entries_stream(range).await.map(|entry| entry.map(|entry| (entry, None)));
        let apply = self.run.state.apply(Box::pin(stream));
        let Some(crash) = crash else { return apply.await.expect("apply") };
        match cut(apply, &crash).await {
            Some(applied) => applied.expect("apply"),
            None => self.crash(&crash).await,
        }
    }

    async fn purge(&mut self, beyond: bool) {
        let upto = if beyond {
            self.run.applied()
        } else {
            match self.run.state.try_create_snapshot_builder(false).await {
                Some(mut builder) => builder.build_snapshot().await.expect("build").meta.last_log_id,
                None => None,
            }
        };
        if let Some(upto) = upto {
            self.run.log.purge(upto).await.expect("purge");
        }
    }

    /// As openraft does: truncate a conflicting tail, install, purge up to the snapshot.
    async fn install(&mut self, ahead: u64, crash: Option<Crash>) {
        let index = self.run.next_to_apply() + ahead;
        if index >= ENTRIES {
            return;
        }
        let mut leader = Group::fresh().await;
        leader.apply(0..index + 1).await;
        let snapshot =
            leader.state.get_current_snapshot().await.expect("open").expect("something is applied");
        let mut chunks = snapshot.snapshot.into_chunks();
        let mut sink = SnapshotSink::new(Path::new(""));
        while let Some(frame) = chunks.next().expect("a frame") {
            sink.push(frame).expect("push");
        }
        let data = sink.finish().expect("finish");
        if (self.good..self.good + self.bad).contains(&index) {
            self.truncate().await;
        }
        self.installed.insert(index);
        let install = self.run.state.install_snapshot(&snapshot.meta, data);
        if let Some(crash) = crash {
            match cut(install, &crash).await {
                Some(installed) => installed.expect("install"),
                None => return self.crash(&crash).await,
            }
        } else {
            install.await.expect("install");
        }
        assert_eq!(observe(&self.run.state.handle()), *expected(index));
        self.run.log.purge(committed(index).log_id).await.expect("purge");
        if index >= self.good {
            (self.good, self.bad) = (index + 1, 0);
        }
    }

    async fn crash(&mut self, crash: &Crash) {
        let durable = self.run.state.handle().durable_applied();
        self.log_disk = self.log_disk.crash(crash.log_survivors);
        self.state_disk.crash_keeping(crash.state_survivors);
        self.run = Run::start(&self.log_disk, &self.state_disk, Check { installed: &self.installed }).await;
        let applied = self.run.applied();
        assert!(applied >= durable, "{durable:?} was durable, {applied:?} is there");
        if let Some(applied) = applied {
            assert_eq!(observe(&self.run.state.handle()), *expected(applied.index));
        }
        self.take_stock(applied).await;
    }

    /// What the log holds after a crash.
    async fn take_stock(&mut self, applied: Option<LogId>) {
        let log = self.run.log.handle();
        let purged = log.last_purged();
        assert!(purged <= applied, "purged up to {purged:?}, applied {applied:?}");
        assert!(log.last_log_id() >= applied, "the log ends before {applied:?}");
        let mut held = Vec::new();
        let end = log.last_log_id().map_or(0, |last| last.index + 1);
        for index in purged.map_or(0, |purged| purged.index + 1)..end {
            held.push(log.log_id_at(index).await.expect("read the log").expect("no hole"));
        }
        let is_good = |id: &LogId| *id == committed(id.index).log_id;
        let first_bad = held.iter().find(|id| !is_good(id)).map_or(end, |id| id.index);
        self.good = first_bad;
        self.bad = end - first_bad;
        let applied_below = applied.map_or(0, |applied| applied.index + 1);
        assert!(self.good >= applied_below, "an applied entry is not the committed one");
        let acknowledged = self.acknowledged.load(Ordering::SeqCst);
        assert!(
            self.good >= acknowledged,
            "entries below {acknowledged} were acknowledged, {first_bad} is not there"
        );
    }
}

async fn run(steps: Vec<Step>) {
    let mut replica = Replica::new().await;
    for step in steps {
        replica.step(step).await;
    }
    Simulation::sleep(SETTLE).await;
    replica.append(ENTRIES).await;
    replica.apply(ENTRIES, None).await;
    assert_eq!(observe(&replica.run.state.handle()), *expected(ENTRIES - 1));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1024) })]

    #[test]
    fn stores_agree_after_any_crash(seed in 0u64..1_000, steps in prop::collection::vec(step(), 1..40)) {
        simulate(seed, run(steps));
    }
}

/// A state that a lost truncation left beside the log wins over it.
#[test]
fn a_log_with_another_entry_at_the_applied_index_starts_anew() {
    simulate(1, async {
        let mut group = Group::fresh().await;
        group.apply(0..10).await;
        drop(group.state);
        let log_disk = LossyLog::<Simulation>::new(LossyOptions::default());
        let mut replica = Replica::new().await;
        replica.log_disk = log_disk.clone();
        replica.run.log =
            LogStore::open(log_disk, REPLICA, TailBudget::new(TAIL_BYTES)).await.expect("open the log");
        replica.append(9).await;
        replica.step(Step::AppendUncommitted(5)).await;
        let log = replica.run.log.handle();
        log.synced_all().await.expect("sync");
        let state = kit::open(&group.store, log.clone()).await;
        assert_eq!(log.last_log_id(), Some(committed(9).log_id));
        assert_eq!(log.last_purged(), Some(committed(9).log_id));
        assert_eq!(state.handle().durable_applied(), Some(committed(9).log_id), "it was flushed first");
    });
}

/// docs/rules/storage.md#log-before-state for snapshots: the flip must not overtake what was submitted to the log
/// before it.
#[test]
fn an_install_flips_only_when_the_log_is_synced() {
    simulate(1, async {
        let mut replica = Replica::new().await;
        replica.append(5).await;
        assert!(replica.log_disk.unsynced() > 0);
        let at_once = Crash { after_us: 0, log_survivors: 0, state_survivors: 0 };
        replica.step(Step::Install { ahead: 20, crash: Some(at_once) }).await;
        assert_eq!(replica.run.applied(), None);
        replica.append(5).await;
        replica.step(Step::Install { ahead: 20, crash: None }).await;
        assert_eq!(replica.log_disk.unsynced(), 1, "only the purge behind it");
    });
}

#[test]
fn a_state_behind_its_purged_log_is_refused() {
    simulate(1, async {
        let log = kit::empty_log::<Simulation>().await;
        log.reset_to(committed(20).log_id).await.expect("reset");
        for applied in [0, 10] {
            let mut group = Group::fresh().await;
            group.apply(0..applied).await;
            drop(group.state);
            let opened = GroupState::open(
                group.store.clone(),
                kit::GROUP,
                Arc::new(crate::sim::KvMachine),
                log.clone(),
            );
            let refused = opened.await.err();
            assert!(matches!(refused, Some(Error::Corrupt { .. })), "applied {applied} entries: {refused:?}");
        }
    });
}
