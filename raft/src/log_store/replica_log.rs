//! One replica's log as it is this moment, written or not: the tail in memory, where the log begins and
//! ends, how far it is durable, and who waits for that.
//!
//! It is shared by the store, its readers and handles, and by callbacks in the engine's queue, so it
//! never holds the engine. Submissions happen under its lock: the engine gets them in the order in which
//! this state changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::budget::TailBudget;
use super::durability::{Durability, Mark};
use super::engine::{LogEngine, LogOp, LogRecord, MetaKind};
use super::replica::{ReplicaPhase, ReplicaRecord};
use super::tail::Tail;
use crate::ReplicaId;
use crate::codec::{self, Entry, LogId, Vote};
use crate::error::Error;

const WHAT: &str = "the Raft log";

/// Which entries of a tail may go.
#[derive(Clone, Copy)]
pub(super) enum Evictable {
    Committed,
    Durable,
}

pub(super) struct ReplicaLog {
    replica: ReplicaId,
    budget: Arc<TailBudget>,
    state: Mutex<State>,
}

#[derive(Default)]
pub(super) struct State {
    tail: Tail,
    pub(super) vote: Option<Vote>,
    pub(super) committed: Option<LogId>,
    /// Index of the first entry, if there is one: 0 or behind `purged`, unless a log was begun elsewhere.
    begin: u64,
    /// Last entry, or `purged` if there is none.
    pub(super) last: Option<LogId>,
    /// Purged as openraft knows it.
    pub(super) purged: Option<LogId>,
    /// Purged as submitted to the engine: never above what the state machine made durable
    /// (docs/rules/storage.md#purge-behind-durable-state).
    recorded: Option<LogId>,
    /// A purge passed the end of the log: entries may follow only once it is recorded up to here.
    gap_below: u64,
    durable_applied: Option<LogId>,
    pub(super) durability: Durability,
    closed: bool,
}

/// What a read finds: a range that only the engine has, or entries of the tail.
pub(super) struct Found {
    pub(super) epoch: u64,
    pub(super) engine: Option<(u64, u64)>,
    pub(super) tail: Vec<Entry>,
}

impl State {
    fn next(&self) -> u64 {
        next(self.last)
    }

    fn tail_first(&self) -> u64 {
        self.tail.first_index().unwrap_or_else(|| self.next())
    }
}

/// Index behind a log id.
fn next(log_id: Option<LogId>) -> u64 {
    log_id.map_or(0, |id| id.index.saturating_add(1))
}

fn seal_log_id(log_id: &LogId) -> Bytes {
    codec::seal(&codec::log_id_to_wire(log_id))
}

impl ReplicaLog {
    /// Reads where the log stands. What the engine has at its opening is durable.
    pub(super) fn open(
        engine: &dyn LogEngine,
        replica: ReplicaId,
        budget: Arc<TailBudget>,
    ) -> Result<Arc<Self>, Error> {
        if ReplicaRecord::read(engine, replica)?.is_some_and(|record| record.phase == ReplicaPhase::Tombstone)
        {
            return Err(Error::Tombstone(replica));
        }
        let log_id = |kind| -> Result<Option<LogId>, Error> {
            let record = engine.meta(replica, kind)?;
            record.map(|it| Ok(codec::log_id_from_wire(&codec::open("a log id", it)?))).transpose()
        };
        let vote = match engine.meta(replica, MetaKind::Vote)? {
            Some(record) => Some(codec::vote_from_wire(&codec::open("a vote", record)?)),
            None => None,
        };
        let (purged, committed) = (log_id(MetaKind::LastPurged)?, log_id(MetaKind::Committed)?);
        let last = match engine.last_index(replica)? {
            Some(index) if index >= next(purged) => Some(stored_log_id(engine, replica, index)?),
            _ => purged,
        };
        if purged.is_some() && next(last) > next(purged) {
            // A log that begins behind a hole is not a log.
            stored_log_id(engine, replica, next(purged))?;
        }
        if next(committed) > next(last) {
            let detail = format!(
                "replica {replica} knew entries up to {} committed, its log ends before {}: synced entries \
                 are missing, the replica is lost",
                next(committed) - 1,
                next(last)
            );
            return Err(Error::corrupt(WHAT, detail));
        }
        let begin = match engine.read(replica, next(purged), u64::MAX, 0)?.first() {
            Some(first) => first.index,
            None => next(purged),
        };
        let (recorded, durability) = (purged, Durability::opened(next(last)));
        let state = State { vote, committed, begin, last, purged, recorded, durability, ..State::default() };
        let log = Arc::new(Self { replica, budget: budget.clone(), state: Mutex::new(state) });
        budget.register(&log);
        Ok(log)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Submits under the lock and counts; `done` runs without the lock.
    fn submit(
        self: &Arc<Self>,
        state: &mut State,
        engine: &dyn LogEngine,
        ops: Vec<LogOp>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let end = state.next();
        let (mark, log) = (state.durability.submit(end), self.clone());
        let on_durable = move |result: Result<(), Error>| {
            log.complete(mark, &result);
            done(result);
        };
        engine.submit(ops, true, Box::new(on_durable));
    }

    fn complete(&self, mark: Mark, result: &Result<(), Error>) {
        let (woken, outcome) = {
            let mut state = self.state();
            (
                state.durability.complete(mark, result),
                state.durability.check().err().map(|error| error.to_string()),
            )
        };
        for waiter in woken {
            // A waiter that gave up is no concern.
            drop(waiter.send(outcome.clone().map_or(Ok(()), |detail| Err(failed(detail)))));
        }
    }

    /// Keeps the entries readable in memory, then queues them.
    pub(super) fn append(
        self: &Arc<Self>,
        engine: &dyn LogEngine,
        entries: Vec<(Entry, Bytes)>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        let mut state = self.state();
        self.check_append(&state, &entries)?;
        let before = state.tail.bytes();
        if let (None, Some((first, _))) = (state.last, entries.first()) {
            state.begin = first.log_id.index;
        }
        let mut records = Vec::with_capacity(entries.len());
        for (entry, bytes) in entries {
            records.push(LogRecord { index: entry.log_id.index, bytes: bytes.clone() });
            state.last = Some(entry.log_id);
            state.tail.push(entry, bytes.len());
        }
        self.budget.resize(before, state.tail.bytes());
        let append = LogOp::Append { replica: self.replica, records };
        self.submit(&mut state, engine, vec![append], done);
        Ok(())
    }

    fn check_append(&self, state: &State, entries: &[(Entry, Bytes)]) -> Result<(), Error> {
        state.durability.check()?;
        let begin = match (state.last, entries.first()) {
            (None, Some((first, _))) => first.log_id.index,
            (last, _) => next(last),
        };
        // Otherwise a crash would leave a log with a hole.
        if next(state.recorded) < state.gap_below {
            let detail = format!("replica {} appends behind a snapshot that is not durable", self.replica);
            return Err(Error::corrupt(WHAT, detail));
        }
        for (expected, (entry, _)) in (begin..).zip(entries) {
            if entry.log_id.index != expected {
                let detail = format!("append of {} where {expected} comes next", entry.log_id);
                return Err(Error::corrupt(WHAT, detail));
            }
        }
        Ok(())
    }

    /// Removes the entries above `keep`.
    pub(super) fn truncate(self: &Arc<Self>, engine: &dyn LogEngine, keep: Option<LogId>) {
        let mut state = self.state();
        let keep = if next(keep) < next(state.purged) { state.purged } else { keep };
        if next(keep) >= state.next() {
            return;
        }
        let before = state.tail.bytes();
        state.tail.cut_from(next(keep));
        self.budget.resize(before, state.tail.bytes());
        state.last = keep;
        state.durability.truncate(next(keep));
        let truncate = LogOp::Truncate { replica: self.replica, last: keep.map(|id| id.index) };
        self.submit(&mut state, engine, vec![truncate], drop);
    }

    pub(super) fn save_vote(
        self: &Arc<Self>,
        engine: &dyn LogEngine,
        vote: Vote,
    ) -> oneshot::Receiver<Result<(), Error>> {
        let (done, saved) = oneshot::channel();
        let mut state = self.state();
        state.vote = Some(vote);
        let value = Some(codec::seal(&codec::vote_to_wire(&vote)));
        let save = LogOp::Meta { replica: self.replica, kind: MetaKind::Vote, value };
        self.submit(&mut state, engine, vec![save], move |result| drop(done.send(result)));
        saved
    }

    /// Not synced: it tells a restart how far it may apply, no more.
    pub(super) fn save_committed(&self, engine: &dyn LogEngine, committed: Option<LogId>) {
        let mut state = self.state();
        state.committed = committed;
        let value = committed.as_ref().map(seal_log_id);
        let save = LogOp::Meta { replica: self.replica, kind: MetaKind::Committed, value };
        engine.submit(vec![save], false, Box::new(drop));
    }

    /// Purged from here on for every reader; recorded and released as far as the state machine is
    /// durable, the rest when it is (docs/rules/storage.md#purge-behind-durable-state).
    pub(super) fn purge(self: &Arc<Self>, engine: &dyn LogEngine, upto: LogId) {
        let mut state = self.state();
        if next(Some(upto)) <= next(state.purged) {
            return;
        }
        let before = state.tail.bytes();
        state.tail.cut_below(next(Some(upto)));
        self.budget.resize(before, state.tail.bytes());
        state.purged = Some(upto);
        state.begin = next(Some(upto));
        if state.next() <= next(Some(upto)) {
            if state.next() < next(Some(upto)) {
                state.gap_below = next(Some(upto));
            }
            state.last = Some(upto);
        }
        self.release(&mut state, engine);
    }

    pub(super) fn set_durable_applied(self: &Arc<Self>, engine: &dyn LogEngine, applied: LogId) {
        let mut state = self.state();
        if next(Some(applied)) > next(state.durable_applied) {
            state.durable_applied = Some(applied);
            self.release(&mut state, engine);
        }
    }

    /// Releases nothing from now on: what this log knows of its purges may be out of date.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    fn release(self: &Arc<Self>, state: &mut State, engine: &dyn LogEngine) {
        if state.closed {
            return;
        }
        let (Some(purged), Some(durable)) = (state.purged, state.durable_applied) else { return };
        let upto = if purged.index <= durable.index { purged } else { durable };
        if next(Some(upto)) <= next(state.recorded) {
            return;
        }
        state.recorded = Some(upto);
        let value = Some(seal_log_id(&upto));
        let record = LogOp::Meta { replica: self.replica, kind: MetaKind::LastPurged, value };
        let purge = LogOp::Purge { replica: self.replica, upto: upto.index };
        self.submit(state, engine, vec![record, purge], drop);
    }

    /// Drops every entry and goes on behind `log_id` (R8b).
    pub(super) fn reset(
        self: &Arc<Self>,
        engine: &dyn LogEngine,
        log_id: LogId,
    ) -> Result<oneshot::Receiver<Result<(), Error>>, Error> {
        let mut state = self.state();
        if next(Some(log_id)) < next(state.recorded) {
            let detail = format!("replica {}: state at {log_id} is older than its purged log", self.replica);
            return Err(Error::corrupt(WHAT, detail));
        }
        let before = state.tail.bytes();
        state.tail.cut_from(0);
        self.budget.resize(before, state.tail.bytes());
        (state.last, state.purged, state.recorded) = (Some(log_id), Some(log_id), Some(log_id));
        (state.durable_applied, state.committed) = (Some(log_id), None);
        state.begin = next(Some(log_id));
        state.durability.truncate(0);
        let meta = |kind, value| LogOp::Meta { replica: self.replica, kind, value };
        let ops = vec![
            LogOp::Truncate { replica: self.replica, last: None },
            meta(MetaKind::Committed, None),
            meta(MetaKind::LastPurged, Some(seal_log_id(&log_id))),
            LogOp::Purge { replica: self.replica, upto: log_id.index },
        ];
        let (done, reset) = oneshot::channel();
        self.submit(&mut state, engine, ops, move |result| drop(done.send(result)));
        Ok(reset)
    }

    /// `None` if the log is durable up to `index` already.
    pub(super) fn wait_synced(
        &self,
        index: u64,
    ) -> Result<Option<oneshot::Receiver<Result<(), Error>>>, Error> {
        let mut state = self.state();
        let end = state.next();
        state.durability.wait(index, end)
    }

    /// Entries `from <= index < to`; the tail's share is cut at `bytes_max`.
    pub(super) fn find(&self, from: u64, to: u64, bytes_max: usize) -> Found {
        let state = self.state();
        let (from, to) = (from.max(state.begin), to.min(state.next()));
        let first = state.tail_first();
        let engine = (from < to && from < first).then(|| (from, to.min(first)));
        let in_tail = from < to && engine.is_none();
        let tail = if in_tail { state.tail.range(from, to, bytes_max) } else { Vec::new() };
        Found { epoch: state.durability.epoch(), engine, tail }
    }

    pub(super) fn evict(&self, evictable: Evictable, bytes_max: usize) {
        let mut state = self.state();
        let below = match evictable {
            Evictable::Committed => state.durability.below().min(next(state.committed)),
            Evictable::Durable => state.durability.below(),
        };
        let before = state.tail.bytes();
        state.tail.evict(below, bytes_max);
        self.budget.resize(before, state.tail.bytes());
    }

    pub(super) fn entry_in_tail(&self, index: u64) -> Option<LogId> {
        self.state().tail.get(index).map(|entry| entry.log_id)
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    pub(super) fn purged(&self) -> Option<LogId> {
        self.state().purged
    }
}

impl Drop for ReplicaLog {
    fn drop(&mut self) {
        let held = self.state.get_mut().unwrap_or_else(PoisonError::into_inner).tail.bytes();
        self.budget.resize(held, 0);
    }
}

fn failed(detail: String) -> Error {
    Error::io(WHAT, std::io::Error::other(detail))
}

/// The id of an entry that must be there.
fn stored_log_id(engine: &dyn LogEngine, replica: ReplicaId, index: u64) -> Result<LogId, Error> {
    let found = engine.read(replica, index, index.saturating_add(1), 0)?;
    let Some(record) = found.into_iter().next() else {
        return Err(Error::corrupt(
            WHAT,
            format_args!("replica {replica} has no entry {index} where one must be"),
        ));
    };
    Ok(codec::decode_entry(record.bytes)?.log_id)
}
