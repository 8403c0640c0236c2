//! `Positions`: where one replica's log begins and ends, and how far it is purged, recorded and committed.
//!
//! A pure value under the lock of `replica_log`, which submits what follows from a change. Every change ends
//! with `assert_valid`; debug and simulation builds carry it out. Two positions are compared by the index that
//! follows each, so that `None` lies before every entry.

use crate::codec::LogId;

/// Positions of one replica's log. The default is an empty log that was never purged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Positions {
    /// Index of the first entry, or the log's end if it has none.
    begin: u64,
    /// Last entry, or `purged` if there is none.
    last: Option<LogId>,
    /// Purged as openraft knows it.
    purged: Option<LogId>,
    /// Purged as submitted to the engine (docs/rules/storage.md#purge-behind-durable-state).
    recorded: Option<LogId>,
    /// Position at which a crash would leave the state machine; ahead of the log while a snapshot is installed.
    durable_applied: Option<LogId>,
    /// A purge passed the end of the log: entries may follow only once it is recorded up to here.
    gap_below: u64,
    /// Known committed.
    committed: Option<LogId>,
}

/// The index that follows a position.
pub(super) fn index_after(position: Option<LogId>) -> u64 {
    position.map_or(0, |id| id.index.saturating_add(1))
}

impl Positions {
    /// As the engine has them at a start; `first` is the index of the first entry behind `purged`.
    ///
    /// A recorded purge never passed the durable state, so the state is durable at least up to `purged`.
    pub(super) fn opened(
        first: Option<u64>,
        last: Option<LogId>,
        purged: Option<LogId>,
        committed: Option<LogId>,
    ) -> Self {
        let begin = first.unwrap_or_else(|| index_after(purged));
        let (recorded, durable_applied) = (purged, purged);
        let opened = Self { begin, last, purged, recorded, durable_applied, gap_below: 0, committed };
        opened.assert_valid();
        opened
    }

    /// Index of the first entry, or the log's end if it has none.
    pub(super) fn begin(&self) -> u64 {
        self.begin
    }

    /// Index of the entry that comes next.
    pub(super) fn end(&self) -> u64 {
        index_after(self.last)
    }

    /// Last entry, or the last purged one if there is none.
    pub(super) fn last(&self) -> Option<LogId> {
        self.last
    }

    /// Up to where no reader sees entries any more.
    pub(super) fn purged(&self) -> Option<LogId> {
        self.purged
    }

    /// Up to where entries are known committed.
    pub(super) fn committed(&self) -> Option<LogId> {
        self.committed
    }

    /// The index an append must begin with, if it wants to begin with `first`: an empty log may begin anywhere.
    pub(super) fn append_index(&self, first: u64) -> u64 {
        if self.last.is_none() { first } else { self.end() }
    }

    /// Whether entries appended now would leave a hole behind them after a crash.
    pub(super) fn has_gap(&self) -> bool {
        index_after(self.recorded) < self.gap_below
    }

    /// Entries from index `first` to `last` follow; `append_index` allowed `first`, and there is no gap.
    pub(super) fn append(&mut self, first: u64, last: LogId) {
        debug_assert!(first == self.append_index(first), "an append at {first} leaves a hole in {self:?}");
        if self.last.is_none() {
            self.begin = first;
        }
        self.last = Some(last);
        self.assert_valid();
    }

    /// Removes the entries above `keep`, which then is `last`, or `purged` if that is higher. Returns whether
    /// there was one.
    pub(super) fn truncate(&mut self, keep: Option<LogId>) -> bool {
        let keep = if index_after(keep) < index_after(self.purged) { self.purged } else { keep };
        if index_after(keep) >= self.end() {
            return false;
        }
        self.last = keep;
        self.begin = self.begin.min(self.end());
        self.assert_valid();
        true
    }

    /// Entries up to `committed` are known committed.
    pub(super) fn commit(&mut self, committed: Option<LogId>) {
        self.committed = committed;
        self.assert_valid();
    }

    /// Hides the entries up to `upto` from every reader, and begins the log anew behind it if it ends before.
    /// Returns whether anything changed.
    pub(super) fn purge(&mut self, upto: LogId) -> bool {
        let after = index_after(Some(upto));
        if after <= index_after(self.purged) {
            return false;
        }
        if self.end() < after {
            self.gap_below = after;
        }
        if self.end() <= after {
            self.last = Some(upto);
        }
        self.purged = Some(upto);
        self.begin = after;
        self.assert_valid();
        true
    }

    /// The state machine is durable up to `applied`. Returns whether that is news.
    pub(super) fn raise_durable_applied(&mut self, applied: LogId) -> bool {
        if index_after(Some(applied)) <= index_after(self.durable_applied) {
            return false;
        }
        self.durable_applied = Some(applied);
        self.assert_valid();
        true
    }

    /// How far the purge may be recorded now, and counts it as recorded; `None` if that is no news.
    pub(super) fn release(&mut self) -> Option<LogId> {
        let (purged, durable) = (self.purged?, self.durable_applied?);
        let upto = if purged.index <= durable.index { purged } else { durable };
        if index_after(Some(upto)) <= index_after(self.recorded) {
            return None;
        }
        self.recorded = Some(upto);
        self.assert_valid();
        Some(upto)
    }

    /// Whether the log may begin anew behind `log_id`: not below what is purged on disk.
    pub(super) fn may_reset(&self, log_id: LogId) -> bool {
        index_after(Some(log_id)) >= index_after(self.recorded)
    }

    /// Drops every entry and begins behind `log_id`, up to which the state machine is durable.
    pub(super) fn reset(&mut self, log_id: LogId) {
        debug_assert!(self.may_reset(log_id), "a reset to {log_id} takes a recorded purge back: {self:?}");
        *self = Self::opened(None, Some(log_id), Some(log_id), None);
    }

    /// Asserts the inequalities that hold between any two changes.
    fn assert_valid(&self) {
        let after_purged = index_after(self.purged);
        debug_assert!(self.begin <= self.end(), "the log begins behind its end: {self:?}");
        debug_assert!(after_purged <= self.end(), "the log ends before what is purged: {self:?}");
        debug_assert!(
            self.purged.is_none() || self.begin == after_purged,
            "the log does not begin where it is purged: {self:?}"
        );
        debug_assert!(
            index_after(self.recorded) <= after_purged,
            "a purge is recorded that nobody asked for: {self:?}"
        );
        debug_assert!(
            index_after(self.recorded) <= index_after(self.durable_applied),
            "entries are released that the state machine still needs: {self:?}"
        );
        debug_assert!(self.gap_below <= after_purged, "a gap that no purge left: {self:?}");
        debug_assert!(
            !self.has_gap() || self.begin == self.end(),
            "entries follow a gap, a crash would leave a hole: {self:?}"
        );
        debug_assert!(
            index_after(self.committed) <= self.end(),
            "committed entries are missing from the log: {self:?}"
        );
    }
}

#[cfg(test)]
mod tests;
