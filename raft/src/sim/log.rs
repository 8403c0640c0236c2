//! `LossyLog`: a log in memory that forgets at a crash what it had not synced.
//!
//! Submissions wait in order; a task on `R` takes what waits, lets a small random time pass and makes
//! it durable. Reads see durable records only, the strictest reading of `LogEngine`. A crash keeps a
//! prefix of what waited and never reorders. No threads, no clock.

use std::collections::{BTreeMap, VecDeque};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;

use crate::ReplicaId;
use crate::error::Error;
use crate::fatal::OnFatal;
use crate::lock::lock;
use crate::log_store::{
    LogEngine, LogMetrics, LogOp, LogRecord, MetaKind, OnDurable, Submission, SyncProgress,
};
use crate::planted::PlantedInLog;
use crate::runtime::Runtime;

/// A slow disk's fsync; the simulation draws below it.
const SYNC_DELAY_MAX: Duration = Duration::from_millis(8);

/// How a simulated disk behaves.
#[derive(Clone)]
pub struct LossyOptions {
    /// Longest time that a sync takes.
    pub sync_delay_max: Duration,
    /// Called once when a sync fails; production would end the process.
    pub on_fatal: OnFatal,
    /// Bugs that a test must find.
    pub planted: PlantedInLog,
}

impl Default for LossyOptions {
    fn default() -> Self {
        Self {
            sync_delay_max: SYNC_DELAY_MAX,
            on_fatal: Arc::new(|message| tracing::error!("{message}")),
            planted: PlantedInLog::from_env(),
        }
    }
}

/// One run of a machine over its disk: `crash` ends it and hands out the next one.
pub struct LossyLog<R> {
    disk: Arc<Mutex<Disk>>,
    metrics: Arc<LogMetrics>,
    progress: Arc<SyncProgress>,
    /// Number of this run; what an earlier one still submits goes nowhere.
    run: u64,
    options: LossyOptions,
    _runtime: PhantomData<fn() -> R>,
}

#[derive(Default)]
struct Disk {
    image: Image,
    waiting: VecDeque<Submission>,
    run: u64,
    syncing: bool,
    failing: bool,
    stalled: bool,
}

/// The durable part of the disk.
#[derive(Default)]
struct Image {
    entries: BTreeMap<(ReplicaId, u64), Bytes>,
    metas: BTreeMap<(ReplicaId, MetaKind), Bytes>,
    node: BTreeMap<String, Bytes>,
}

impl Image {
    /// `reclaim` says whether a purge removes its entries now or, as a lazy compaction, never.
    fn apply(&mut self, op: LogOp, reclaim: bool) {
        match op {
            LogOp::Append { replica, records, .. } => {
                self.entries
                    .extend(records.into_iter().map(|record| ((replica, record.index), record.bytes)));
            }
            LogOp::Truncate { replica, last } => {
                let first = last.map_or(0, |last| last.saturating_add(1));
                self.entries.retain(|(owner, index), _| *owner != replica || *index < first);
            }
            LogOp::Meta { replica, kind, value: Some(value) } => {
                self.metas.insert((replica, kind), value);
            }
            LogOp::Meta { replica, kind, value: None } => {
                self.metas.remove(&(replica, kind));
            }
            LogOp::Purge { replica, upto } => {
                if reclaim {
                    self.entries.retain(|(owner, index), _| *owner != replica || *index > upto);
                }
            }
        }
    }
}

impl<R: Runtime> LossyLog<R> {
    /// The log of a machine whose disk is empty.
    pub fn new(options: LossyOptions) -> Arc<Self> {
        let (disk, metrics, progress) = (Arc::default(), Arc::default(), Arc::default());
        Arc::new(Self { disk, metrics, progress, run: 0, options, _runtime: PhantomData })
    }

    /// The machine stops here. The first `survivors` of the submissions that were not synced happen to
    /// be on the disk, the rest is gone, and nobody is told. Returns the log as the next start finds it.
    pub fn crash(&self, survivors: usize) -> Arc<Self> {
        let lost = {
            let mut disk = self.disk();
            let survivors = survivors.min(disk.waiting.len());
            let survived: Vec<Submission> = disk.waiting.drain(..survivors).collect();
            for op in survived.into_iter().flat_map(|submission| submission.ops) {
                disk.image.apply(op, false);
            }
            disk.run += 1;
            disk.syncing = false;
            disk.failing = false;
            disk.stalled = false;
            std::mem::take(&mut disk.waiting)
        };
        // Outside the lock: a dropped callback wakes whoever waited for it.
        drop(lost);
        let (disk, run, options) = (self.disk.clone(), self.disk().run, self.options.clone());
        let (metrics, progress) = (Arc::default(), Arc::default());
        Arc::new(Self { disk, metrics, progress, run, options, _runtime: PhantomData })
    }

    /// Submissions that a crash now would lose.
    pub fn unsynced(&self) -> usize {
        self.disk().waiting.len()
    }

    /// From now on every sync fails, as on a full or broken disk.
    pub fn fail_syncs(&self) {
        self.disk().failing = true;
    }

    /// While it is stalled, no sync ends, as on a disk that hangs.
    pub fn stall(&self, stalled: bool) {
        self.disk().stalled = stalled;
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        lock(&self.disk)
    }

    fn syncer(&self) -> Syncer {
        Syncer {
            disk: self.disk.clone(),
            metrics: self.metrics.clone(),
            progress: self.progress.clone(),
            run: self.run,
            options: self.options.clone(),
        }
    }
}

/// The running sync of one `LossyLog`.
struct Syncer {
    disk: Arc<Mutex<Disk>>,
    metrics: Arc<LogMetrics>,
    progress: Arc<SyncProgress>,
    run: u64,
    options: LossyOptions,
}

impl Syncer {
    async fn run<R: Runtime>(self) {
        while let Some(taken) = self.begin() {
            if self.options.planted.acks_before_sync() {
                for ack in self.take_acks(taken) {
                    ack(Ok(()));
                }
            }
            let delay_us = self.options.sync_delay_max.as_micros() as u64;
            R::sleep(Duration::from_micros(R::random_u64() % (delay_us + 1))).await;
            while self.is_stalled() {
                R::sleep(SYNC_DELAY_MAX).await;
            }
            let reclaim = R::random_u64().is_multiple_of(2);
            match self.finish(taken, reclaim) {
                Finished::Synced(acks) => acks.into_iter().for_each(|ack| ack(Ok(()))),
                Finished::Failed(acks) => {
                    for ack in acks {
                        ack(Err(Error::io("the Raft log is dead", std::io::Error::other("a sync failed"))));
                    }
                    (self.options.on_fatal)("a sync of the simulated log failed");
                }
                Finished::Crashed => return,
            }
        }
    }

    /// Submissions that this sync covers: all that wait now, none that come while it runs.
    fn begin(&self) -> Option<usize> {
        let mut disk = lock(&self.disk);
        if disk.run != self.run {
            return None;
        }
        if disk.waiting.is_empty() {
            disk.syncing = false;
            return None;
        }
        Some(disk.waiting.len())
    }

    fn is_stalled(&self) -> bool {
        let disk = lock(&self.disk);
        disk.run == self.run && disk.stalled
    }

    fn take_acks(&self, taken: usize) -> Vec<OnDurable> {
        let mut disk = lock(&self.disk);
        if disk.run != self.run {
            return Vec::new();
        }
        let nothing = || -> OnDurable { Box::new(drop) };
        disk.waiting
            .iter_mut()
            .take(taken)
            .map(|it| std::mem::replace(&mut it.on_durable, nothing()))
            .collect()
    }

    fn finish(&self, taken: usize, reclaim: bool) -> Finished {
        let mut disk = lock(&self.disk);
        if disk.run != self.run {
            return Finished::Crashed;
        }
        let submissions: Vec<Submission> = disk.waiting.drain(..taken).collect();
        let bytes = submissions.iter().map(|submission| submission.bytes).sum();
        let ops = submissions.iter().map(|submission| submission.ops.len()).sum();
        self.metrics.dequeued(bytes);
        self.progress.submissions.end(submissions.iter().map(|submission| u64::from(submission.sync)).sum());
        if disk.failing {
            return Finished::Failed(
                submissions.into_iter().map(|submission| submission.on_durable).collect(),
            );
        }
        self.metrics.written(taken, ops, bytes, true);
        let mut acks = Vec::with_capacity(taken);
        for submission in submissions {
            for op in submission.ops {
                disk.image.apply(op, reclaim);
            }
            acks.push(submission.on_durable);
        }
        Finished::Synced(acks)
    }
}

enum Finished {
    Synced(Vec<OnDurable>),
    Failed(Vec<OnDurable>),
    Crashed,
}

impl<R: Runtime> LogEngine for LossyLog<R> {
    fn submit(&self, ops: Vec<LogOp>, sync: bool, on_durable: OnDurable) {
        let submission = Submission::new(ops, sync, on_durable);
        let start = {
            let mut disk = self.disk();
            if disk.run != self.run {
                return;
            }
            self.metrics.queued(submission.bytes);
            // An unsynced submission waits for the next sync, and dies with the machine before it.
            let start = submission.sync && !disk.syncing;
            disk.syncing |= submission.sync;
            if submission.sync {
                self.progress.submissions.begin();
            }
            disk.waiting.push_back(submission);
            start
        };
        if start {
            drop(R::spawn(self.syncer().run::<R>()));
        }
    }

    fn read(
        &self,
        replica: ReplicaId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        let mut records: Vec<LogRecord> = Vec::new();
        if from >= to {
            return Ok(records);
        }
        let mut bytes = 0;
        for ((_, index), record) in self.disk().image.entries.range((replica, from)..(replica, to)) {
            bytes += record.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            records.push(LogRecord { index: *index, bytes: record.clone() });
        }
        Ok(records)
    }

    fn last_index(&self, replica: ReplicaId) -> Result<Option<u64>, Error> {
        let disk = self.disk();
        Ok(disk
            .image
            .entries
            .range((replica, 0)..=(replica, u64::MAX))
            .next_back()
            .map(|((_, index), _)| *index))
    }

    fn meta(&self, replica: ReplicaId, kind: MetaKind) -> Result<Option<Bytes>, Error> {
        Ok(self.disk().image.metas.get(&(replica, kind)).cloned())
    }

    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, Error> {
        let disk = self.disk();
        let states = disk.image.metas.iter().filter(|((_, kind), _)| *kind == MetaKind::ReplicaState);
        Ok(states.map(|((replica, _), value)| (*replica, value.clone())).collect())
    }

    fn node_record(&self, key: &str) -> Result<Option<Bytes>, Error> {
        Ok(self.disk().image.node.get(key).cloned())
    }

    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), Error> {
        let mut disk = self.disk();
        if disk.run == self.run {
            disk.image.node.insert(key.to_owned(), value);
        }
        Ok(())
    }

    fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    fn progress(&self) -> &SyncProgress {
        &self.progress
    }
}
