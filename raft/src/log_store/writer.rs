//! The thread that writes the node's log: takes everything queued, writes it as one batch, syncs once,
//! answers in order. While one sync runs the next batch gathers: group commit without a linger.
//!
//! It owns all writes of entries and metas. After a failed write it writes nothing ever again.

use std::collections::BTreeMap;
use std::sync::Arc;

use rocksdb::{DB, WriteBatch, WriteOptions};
use rowhouse_proto::TraceContext;

use super::engine::{LogOp, OnDurable};
use super::keys;
use super::metrics::LogMetrics;
use super::options::{LogOptions, failed};
use super::purge::{FileDrop, Floors};
use super::queue::{Queue, Submission};
use super::scan::last_index;
use super::sync_progress::SyncProgress;
use crate::ReplicaId;
use crate::error::Error;
use crate::fatal::{FatalLatch, PanicAlarm};

/// From this many entries a truncation is one range tombstone; below, single ones are cheaper to read
/// past.
const RANGE_DELETE_ENTRIES_MIN: u64 = 1_024;

const STORE: &str = "The Raft log of this node";
const ADVICE: &str =
    "if it then refuses its log, its replicas are lost: remove the node and add it with an empty disk.";
/// The consequence of a writer's panic, for the operator.
const CONSEQUENCE: &str = "nothing on this node can be made durable any more";

pub(super) struct Writer {
    db: Arc<DB>,
    queue: Arc<Queue>,
    floors: Arc<Floors>,
    metrics: Arc<LogMetrics>,
    progress: Arc<SyncProgress>,
    options: LogOptions,
    /// Index of the last record of each replica met so far, this write included.
    tails: BTreeMap<ReplicaId, Option<u64>>,
    files: FileDrop,
    fatal: FatalLatch,
}

/// One write: the steps of several submissions.
struct Write {
    ops: Vec<LogOp>,
    bytes: usize,
    submissions: usize,
    /// Of these, those that are to be synced.
    synced: u64,
    acks: Vec<OnDurable>,
    /// Of the last entry whose trace is recorded.
    trace: Option<TraceContext>,
}

impl Write {
    fn new(submissions: Vec<Submission>) -> Self {
        let mut write = Self {
            ops: vec![],
            bytes: 0,
            submissions: submissions.len(),
            synced: 0,
            acks: vec![],
            trace: None,
        };
        for submission in submissions {
            write.trace = submission.ops.iter().rev().find_map(LogOp::trace).or(write.trace);
            write.ops.extend(submission.ops);
            write.bytes += submission.bytes;
            write.synced += u64::from(submission.sync);
            write.acks.push(submission.on_durable);
        }
        write
    }

    fn answer(&mut self, result: impl Fn() -> Result<(), Error>) {
        for ack in self.acks.drain(..) {
            ack(result());
        }
    }
}

impl Writer {
    pub(super) fn new(
        db: Arc<DB>,
        queue: Arc<Queue>,
        floors: Arc<Floors>,
        (metrics, progress): (Arc<LogMetrics>, Arc<SyncProgress>),
        options: LogOptions,
    ) -> Self {
        let (tails, files) = (BTreeMap::new(), FileDrop::default());
        let fatal = FatalLatch::new(options.on_fatal.clone(), STORE, ADVICE);
        Self { db, queue, floors, metrics, progress, options, tails, files, fatal }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let on_fatal = self.options.on_fatal.clone();
        let _alarm = PanicAlarm::new(on_fatal, "the writer of the Raft log", CONSEQUENCE);
        while let Some(submissions) = self.queue.take() {
            let mut write = Write::new(submissions);
            if self.options.planted.acks_before_sync() {
                write.answer(|| Ok(()));
            }
            let result = self.write(&write);
            self.metrics.dequeued(write.bytes);
            self.progress.submissions.end(write.synced);
            match result {
                Ok(purged) => {
                    write.answer(|| Ok(()));
                    self.reclaim(&purged);
                }
                Err(error) => self.fail(write, &error),
            }
        }
    }

    /// Returns the floors that the write raises.
    fn write(&mut self, write: &Write) -> Result<Vec<(ReplicaId, u64)>, Error> {
        const WHAT: &str = "writing the Raft log";
        if let Some(dead) = self.fatal.dead() {
            return Err(Error::io(WHAT, std::io::Error::other(dead.to_owned())));
        }
        let mut batch = WriteBatch::default();
        let mut purged = Vec::new();
        for op in &write.ops {
            self.stage(op, &mut batch, &mut purged)?;
        }
        if let Some(before_write) = &self.options.before_write {
            before_write().map_err(|error| Error::io(WHAT, error))?;
        }
        let mut options = WriteOptions::default();
        let sync = write.synced > 0;
        options.set_sync(sync);
        let timer = self.options.sync_timer.as_ref().filter(|_| sync);
        let began = timer.map(|timer| timer.began());
        self.db.write_opt(batch, &options).map_err(|error| failed(WHAT, error))?;
        if let (Some(timer), Some(began)) = (timer, began) {
            timer.ended(began, write.trace.as_ref());
        }
        self.metrics.written(write.submissions, write.ops.len(), write.bytes, sync);
        Ok(purged)
    }

    fn stage(
        &mut self,
        op: &LogOp,
        batch: &mut WriteBatch,
        purged: &mut Vec<(ReplicaId, u64)>,
    ) -> Result<(), Error> {
        match op {
            LogOp::Append { replica, records, .. } => {
                for record in records {
                    batch.put(keys::entry(*replica, record.index), &record.bytes);
                }
                if let Some(last) = records.last() {
                    self.tails.insert(*replica, Some(last.index));
                    self.files.appended(*replica, records.len(), op.bytes());
                }
            }
            LogOp::Truncate { replica, last } => self.truncate(*replica, *last, batch)?,
            LogOp::Meta { replica, kind, value: Some(value) } => {
                batch.put(keys::meta(*replica, *kind), value);
            }
            LogOp::Meta { replica, kind, value: None } => batch.delete(keys::meta(*replica, *kind)),
            LogOp::Purge { replica, upto } => purged.push((*replica, *upto)),
        }
        Ok(())
    }

    /// Deletes what lies above `keep`. Never starts below the floor: range tombstones that all begin
    /// at zero make compactions quadratic.
    fn truncate(
        &mut self,
        replica: ReplicaId,
        keep: Option<u64>,
        batch: &mut WriteBatch,
    ) -> Result<(), Error> {
        let tail = match self.tails.get(&replica) {
            Some(tail) => *tail,
            None => last_index(&self.db, replica)?,
        };
        let floor = self.floors.get(replica);
        let keep = keep.max(floor);
        let first = keep.map_or(0, |keep| keep.saturating_add(1));
        if let Some(last) = tail
            && first <= last
        {
            if last - first >= RANGE_DELETE_ENTRIES_MIN {
                batch.delete_range(keys::entry(replica, first), keys::entry(replica, last.saturating_add(1)));
            } else {
                for index in first..=last {
                    batch.delete(keys::entry(replica, index));
                }
            }
        }
        self.tails.insert(replica, tail.min(keep));
        Ok(())
    }

    fn reclaim(&mut self, purged: &[(ReplicaId, u64)]) {
        if purged.is_empty() {
            return;
        }
        self.floors.raise(purged);
        self.files.purged(&self.db, purged);
    }

    fn fail(&mut self, mut write: Write, error: &Error) {
        let detail = error.to_string();
        write.answer(|| Err(Error::io("the Raft log is dead", std::io::Error::other(detail.clone()))));
        self.fatal.fall(detail);
    }
}
