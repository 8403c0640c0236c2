//! One replica's log as it is this moment, written or not: the tail in memory, its positions, how far it is
//! durable, and who waits for that.
//!
//! The store, its readers and handles share it with callbacks in the engine's queue, so it never holds the
//! engine. Submissions happen under its lock: the engine gets them in the order in which this state changed.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::answer::Answer;
use super::budget::{Evict, Evictable, TailBudget};
use super::durability::{Durability, Mark, Waiter};
use super::engine::{LogEngine, LogOp, LogRecord, MetaKind};
use super::opening::{self, Opened};
use super::positions::{Positions, index_after};
use super::tail::Tail;
use super::volume::Volume;
use crate::ReplicaId;
use crate::codec::{self, Entry, LogId, Vote};
use crate::entry_spans::traced;
use crate::error::Error;
use crate::lock::lock;

const WHAT: &str = "the Raft log";

/// The state of one replica's log in memory.
pub(super) struct ReplicaLog {
    replica: ReplicaId,
    budget: Arc<TailBudget>,
    state: Mutex<State>,
}

/// The state under the lock.
#[derive(Default)]
pub(super) struct State {
    tail: Tail,
    pub(super) vote: Option<Vote>,
    pub(super) positions: Positions,
    pub(super) durability: Durability,
    /// Of what openraft has not purged.
    pub(super) volume: Volume,
    closed: bool,
}

/// The result of a search: a range that only the engine has, or entries of the tail.
pub(super) struct Found {
    pub(super) epoch: u64,
    /// First index, and the index after the last.
    pub(super) engine: Option<(u64, u64)>,
    pub(super) tail: Vec<Entry>,
}

impl State {
    fn tail_first(&self) -> u64 {
        self.tail.first_index().unwrap_or_else(|| self.positions.end())
    }

    /// Asserts the inequalities that hold between any two changes; debug and simulation builds carry it out.
    fn assert_valid(&self) {
        let (begin, end, first) = (self.positions.begin(), self.positions.end(), self.tail_first());
        let below = self.durability.below();
        debug_assert!(below <= end, "durable below {below}, the log ends before {end}");
        debug_assert!(begin <= first && first <= end, "a tail from {first} on in a log of {begin}..{end}");
        debug_assert!(
            self.tail.end().is_none_or(|tail_end| tail_end == end),
            "the tail ends before {:?}, the log before {end}",
            self.tail.end()
        );
        debug_assert!(
            first == begin || first <= below,
            "entries below {first} left the tail, only those below {below} are durable"
        );
    }
}

fn seal_log_id(log_id: &LogId) -> Bytes {
    codec::seal(&codec::log_id_to_wire(log_id))
}

impl ReplicaLog {
    /// Reads where the log stands; what the engine has at its opening is durable. Blocks on the disk, and fails
    /// as `opening::read` does.
    pub(super) fn open(
        engine: &dyn LogEngine,
        replica: ReplicaId,
        budget: Arc<TailBudget>,
    ) -> Result<Arc<Self>, Error> {
        let Opened { vote, positions, volume } = opening::read(engine, replica)?;
        let durability = Durability::opened(positions.end());
        let state = State { vote, positions, durability, volume, ..State::default() };
        let log = Arc::new(Self { replica, budget: budget.clone(), state: Mutex::new(state) });
        let evict: Arc<dyn Evict> = log.clone();
        budget.register(&evict);
        Ok(log)
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Changes the state under its lock; the budget hears what became of the tail.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state();
        let before = state.tail.bytes();
        let outcome = change(&mut state);
        self.budget.resize(before, state.tail.bytes());
        state.assert_valid();
        outcome
    }

    /// Submits under the lock and counts; `done` runs without the lock.
    fn submit(
        self: &Arc<Self>,
        state: &mut State,
        engine: &dyn LogEngine,
        ops: Vec<LogOp>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) {
        let end = state.positions.end();
        let (mark, log) = (state.durability.submit(end), self.clone());
        let on_durable = move |result: Result<(), Error>| {
            log.complete(mark, &result);
            done(result);
        };
        engine.submit(ops, true, Box::new(on_durable));
    }

    /// `submit` for a caller that waits for the answer.
    fn submit_awaited(
        self: &Arc<Self>,
        state: &mut State,
        engine: &dyn LogEngine,
        ops: Vec<LogOp>,
    ) -> Answer {
        let (done, answer) = oneshot::channel();
        // A caller that gave up is no concern.
        self.submit(state, engine, ops, move |result| drop(done.send(result)));
        answer
    }

    fn complete(&self, mark: Mark, result: &Result<(), Error>) {
        let (woken, outcome): (Vec<Waiter>, _) = self.change(|state| {
            let woken = state.durability.complete(mark, result);
            (woken, state.durability.check().err().map(|error| error.to_string()))
        });
        for waiter in woken {
            // A waiter that gave up is no concern.
            drop(waiter.send(outcome.clone().map_or(Ok(()), |detail| Err(failed(detail)))));
        }
    }

    fn meta(&self, kind: MetaKind, value: Option<Bytes>) -> LogOp {
        LogOp::Meta { replica: self.replica, kind, value }
    }

    /// Keeps the entries readable in memory, then queues them. Fails if they do not follow the log, or if its
    /// engine has failed.
    pub(super) fn append(
        self: &Arc<Self>,
        engine: &dyn LogEngine,
        entries: Vec<(Entry, Bytes)>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), Error> {
        self.change(|state| {
            self.check_append(state, &entries)?;
            let mut records = Vec::with_capacity(entries.len());
            let trace = entries.iter().rev().find_map(|(entry, _)| traced(entry));
            if let (Some((first, _)), Some((last, _))) = (entries.first(), entries.last()) {
                state.positions.append(first.log_id.index, last.log_id);
                let bytes = entries.iter().map(|(_, bytes)| bytes.len() as u64).sum();
                state.volume.append(first.log_id.index, index_after(Some(last.log_id)), bytes);
            }
            for (entry, bytes) in entries {
                records.push(LogRecord { index: entry.log_id.index, bytes: bytes.clone() });
                state.tail.push(entry, bytes.len());
            }
            let append = LogOp::Append { replica: self.replica, records, trace };
            self.submit(state, engine, vec![append], done);
            Ok(())
        })
    }

    fn check_append(&self, state: &State, entries: &[(Entry, Bytes)]) -> Result<(), Error> {
        state.durability.check()?;
        // Otherwise a crash would leave a log with a hole.
        if state.positions.has_gap() {
            let detail = format!("replica {} appends behind a snapshot that is not durable", self.replica);
            return Err(Error::corrupt(WHAT, detail));
        }
        let Some((first, _)) = entries.first() else { return Ok(()) };
        let begin = state.positions.append_index(first.log_id.index);
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
        self.change(|state| {
            if !state.positions.truncate(keep) {
                return;
            }
            let end = state.positions.end();
            state.tail.cut_from(end);
            state.volume.cut_from(end);
            state.durability.truncate(end);
            let last = state.positions.last().map(|id| id.index);
            let truncate = LogOp::Truncate { replica: self.replica, last };
            self.submit(state, engine, vec![truncate], drop);
        });
    }

    /// The answer comes once the vote is durable.
    pub(super) fn save_vote(self: &Arc<Self>, engine: &dyn LogEngine, vote: Vote) -> Answer {
        self.change(|state| {
            state.vote = Some(vote);
            let save = self.meta(MetaKind::Vote, Some(codec::seal(&codec::vote_to_wire(&vote))));
            self.submit_awaited(state, engine, vec![save])
        })
    }

    /// Not synced: it tells a restart how far it may apply, no more.
    pub(super) fn save_committed(&self, engine: &dyn LogEngine, committed: Option<LogId>) {
        self.change(|state| {
            state.positions.commit(committed);
            let save = self.meta(MetaKind::Committed, committed.as_ref().map(seal_log_id));
            engine.submit(vec![save], false, Box::new(drop));
        });
    }

    /// Purged from here on for every reader; recorded and released as far as the state machine is
    /// durable, the rest when it is (docs/rules/storage.md#purge-behind-durable-state).
    pub(super) fn purge(self: &Arc<Self>, engine: &dyn LogEngine, upto: LogId) {
        self.change(|state| {
            if state.positions.purge(upto) {
                state.tail.cut_below(index_after(Some(upto)));
                state.volume.cut_below(index_after(Some(upto)));
                self.release(state, engine);
            }
        });
    }

    /// The state machine would survive a crash with everything up to `applied`.
    pub(super) fn set_durable_applied(self: &Arc<Self>, engine: &dyn LogEngine, applied: LogId) {
        self.change(|state| {
            if state.positions.raise_durable_applied(applied) {
                self.release(state, engine);
            }
        });
    }

    /// Releases nothing from now on: what this log knows of its purges may be out of date.
    pub(super) fn close(&self) {
        self.state().closed = true;
    }

    fn release(self: &Arc<Self>, state: &mut State, engine: &dyn LogEngine) {
        if state.closed {
            return;
        }
        let Some(upto) = state.positions.release() else { return };
        let record = self.meta(MetaKind::LastPurged, Some(seal_log_id(&upto)));
        let purge = LogOp::Purge { replica: self.replica, upto: upto.index };
        self.submit(state, engine, vec![record, purge], drop);
    }

    /// Drops every entry and goes on behind `log_id` (R8b). Fails if that would take a recorded purge back.
    pub(super) fn reset(self: &Arc<Self>, engine: &dyn LogEngine, log_id: LogId) -> Result<Answer, Error> {
        self.change(|state| {
            if !state.positions.may_reset(log_id) {
                let detail =
                    format!("replica {}: state at {log_id} is older than its purged log", self.replica);
                return Err(Error::corrupt(WHAT, detail));
            }
            state.tail.cut_from(0);
            state.volume = Volume::default();
            state.positions.reset(log_id);
            state.durability.truncate(0);
            let ops = vec![
                LogOp::Truncate { replica: self.replica, last: None },
                self.meta(MetaKind::Committed, None),
                self.meta(MetaKind::LastPurged, Some(seal_log_id(&log_id))),
                LogOp::Purge { replica: self.replica, upto: log_id.index },
            ];
            Ok(self.submit_awaited(state, engine, ops))
        })
    }

    /// `None` if the log is durable up to `index` already.
    pub(super) fn wait_synced(&self, index: u64) -> Result<Option<Answer>, Error> {
        self.change(|state| {
            let end = state.positions.end();
            state.durability.wait(index, end)
        })
    }

    /// Entries `from <= index < to`; the tail's share is cut at `bytes_max`.
    pub(super) fn find(&self, from: u64, to: u64, bytes_max: usize) -> Found {
        let state = self.state();
        let (from, to) = (from.max(state.positions.begin()), to.min(state.positions.end()));
        let first = state.tail_first();
        let engine = (from < to && from < first).then(|| (from, to.min(first)));
        let in_tail = from < to && engine.is_none();
        let tail = if in_tail { state.tail.range(from, to, bytes_max) } else { Vec::new() };
        Found { epoch: state.durability.epoch(), engine, tail }
    }

    pub(super) fn entry_in_tail(&self, index: u64) -> Option<LogId> {
        self.state().tail.get(index).map(|entry| entry.log_id)
    }

    pub(super) fn replica(&self) -> ReplicaId {
        self.replica
    }

    pub(super) fn purged(&self) -> Option<LogId> {
        self.state().positions.purged()
    }
}

impl Evict for ReplicaLog {
    fn evict(&self, evictable: Evictable, bytes_max: usize) {
        self.change(|state| {
            let durable = state.durability.below();
            let below = match evictable {
                Evictable::Committed => durable.min(index_after(state.positions.committed())),
                Evictable::Durable => durable,
            };
            state.tail.evict(below, bytes_max);
        });
    }
}

impl Drop for ReplicaLog {
    fn drop(&mut self) {
        let held = self.state().tail.bytes();
        self.budget.resize(held, 0);
    }
}

fn failed(detail: String) -> Error {
    Error::io(WHAT, std::io::Error::other(detail))
}
