//! Random histories of one log, restarts included, against a model that lists every entry.

use std::collections::BTreeMap;

use openraft::impls::leader_id_adv::LeaderId;
use proptest::prelude::*;

use super::*;

/// Indexes that the steps draw: few, so that they meet.
const INDEX_MAX: u64 = 24;

/// An event in the life of a log. The model skips what openraft and the state machine never ask for.
#[derive(Clone, Debug)]
enum Step {
    Append { first: u64, count: u64 },
    Truncate { keep: Option<u64> },
    Commit { upto: u64 },
    Purge { upto: u64 },
    DurableApplied { upto: u64 },
    Reset { upto: u64 },
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let index = || 0..INDEX_MAX;
    let step = prop_oneof![
        6 => (index(), 1..5_u64).prop_map(|(first, count)| Step::Append { first, count }),
        2 => prop::option::of(index()).prop_map(|keep| Step::Truncate { keep }),
        3 => index().prop_map(|upto| Step::Commit { upto }),
        3 => index().prop_map(|upto| Step::Purge { upto }),
        3 => index().prop_map(|upto| Step::DurableApplied { upto }),
        1 => index().prop_map(|upto| Step::Reset { upto }),
        2 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..80)
}

/// The log as lists of entries: by the slowest means there are.
#[derive(Default)]
struct Model {
    /// Entries that the next process would find. Purged entries stay.
    disk: BTreeMap<u64, LogId>,
    visible: BTreeMap<u64, LogId>,
    /// Where the log ends while nothing is visible.
    floor: Option<LogId>,
    purged: Option<LogId>,
    recorded: Option<LogId>,
    durable: Option<LogId>,
    committed: Option<LogId>,
    term: u64,
}

impl Model {
    fn take(&mut self, step: &Step, positions: &mut Positions) {
        match *step {
            Step::Append { first, count } => self.append(positions, first, count),
            Step::Truncate { keep } => self.truncate(positions, keep),
            Step::Commit { upto } => self.commit(positions, upto),
            Step::Purge { upto } => self.purge(positions, upto),
            Step::DurableApplied { upto } => self.durable_applied(positions, upto),
            Step::Reset { upto } => self.reset(positions, upto),
            Step::Restart => self.restart(positions),
        }
        assert_eq!((positions.begin(), positions.end()), (self.begin(), index_after(self.last())));
        assert_eq!((positions.last(), positions.purged()), (self.last(), self.purged));
        assert_eq!((positions.committed(), positions.recorded), (self.committed, self.recorded));
        assert!(positions.has_gap() || !self.would_leave_hole(), "entries may follow a hole");
        assert!(!positions.has_gap() || self.recorded != self.purged, "a log that could go on does not");
    }

    /// The id of a visible entry, or a new one.
    fn id(&self, index: u64) -> LogId {
        let new = LogId { leader_id: LeaderId { term: self.term, node_id: 1 }, index };
        self.visible.get(&index).copied().unwrap_or(new)
    }

    fn begin(&self) -> u64 {
        self.visible.keys().next().copied().unwrap_or_else(|| index_after(self.floor))
    }

    fn last(&self) -> Option<LogId> {
        self.visible.values().next_back().copied().or(self.floor)
    }

    /// Whether a crash after the next append could leave a log with a hole. One that was never purged may begin
    /// anywhere.
    fn would_leave_hole(&self) -> bool {
        let end = index_after(self.last());
        let first = self.disk.keys().next().copied().unwrap_or(end);
        let from = self.recorded.map_or(first, |recorded| recorded.index + 1);
        (from..end).any(|index| !self.disk.contains_key(&index))
    }

    fn append(&mut self, positions: &mut Positions, first: u64, count: u64) {
        if positions.has_gap() {
            return;
        }
        // A state ahead of an empty log has it reset; here it stays within reach.
        let first = self.durable.map_or(first, |durable| first.min(durable.index + 1));
        let first = positions.append_index(first);
        let entries: Vec<LogId> = (first..first + count).map(|index| self.id(index)).collect();
        for entry in &entries {
            self.visible.insert(entry.index, *entry);
            self.disk.insert(entry.index, *entry);
        }
        positions.append(first, entries[entries.len() - 1]);
    }

    fn truncate(&mut self, positions: &mut Positions, keep: Option<u64>) {
        let keep = keep.map(|index| self.id(index));
        // Durable entries are applied, and so committed.
        if index_after(keep) < index_after(self.committed).max(index_after(self.durable)) {
            return;
        }
        let kept = if index_after(keep) < index_after(self.purged) { self.purged } else { keep };
        let is_cut = index_after(kept) < index_after(self.last());
        assert_eq!(positions.truncate(keep), is_cut);
        if is_cut {
            self.visible.split_off(&index_after(kept));
            self.disk.split_off(&index_after(kept));
            self.floor = kept;
            self.term += 1;
        }
    }

    fn commit(&mut self, positions: &mut Positions, upto: u64) {
        if let Some(upto) = self.visible.get(&upto) {
            self.committed = Some(*upto);
            positions.commit(Some(*upto));
        }
    }

    /// Purges entries, the one before the first, or past the end as after a snapshot.
    fn purge(&mut self, positions: &mut Positions, upto: u64) {
        let upto = self.id(upto);
        if index_after(Some(upto)) < self.begin() {
            return;
        }
        let is_news = index_after(Some(upto)) > index_after(self.purged);
        assert_eq!(positions.purge(upto), is_news);
        if is_news {
            self.visible = self.visible.split_off(&index_after(Some(upto)));
            (self.purged, self.floor) = (Some(upto), Some(upto));
        }
        self.release(positions);
    }

    /// Of an applied entry, which is on the disk, or of a snapshot, which is not behind the log.
    fn durable_applied(&mut self, positions: &mut Positions, upto: u64) {
        let upto = self.id(upto);
        let comes_before_disk = self.disk.keys().next() == Some(&(upto.index + 1));
        let is_snapshot = index_after(Some(upto)) >= index_after(self.last());
        if !self.disk.contains_key(&upto.index) && !comes_before_disk && !is_snapshot {
            return;
        }
        let is_news = index_after(Some(upto)) > index_after(self.durable);
        assert_eq!(positions.raise_durable_applied(upto), is_news);
        if is_news {
            self.durable = Some(upto);
        }
        self.release(positions);
    }

    /// docs/rules/storage.md#purge-behind-durable-state
    fn release(&mut self, positions: &mut Positions) {
        let before = self.recorded;
        if let (Some(purged), Some(durable)) = (self.purged, self.durable) {
            let upto = if purged.index <= durable.index { purged } else { durable };
            if index_after(Some(upto)) > index_after(self.recorded) {
                self.recorded = Some(upto);
            }
        }
        assert_eq!(positions.release(), self.recorded.filter(|_| self.recorded != before));
    }

    fn reset(&mut self, positions: &mut Positions, upto: u64) {
        let upto = LogId { leader_id: LeaderId { term: self.term, node_id: 1 }, index: upto };
        let is_allowed = index_after(Some(upto)) >= index_after(self.recorded);
        assert_eq!(positions.may_reset(upto), is_allowed);
        if is_allowed {
            let (at, term) = (Some(upto), self.term);
            *self = Self { floor: at, purged: at, recorded: at, durable: at, term, ..Self::default() };
            positions.reset(upto);
        }
    }

    /// The next process finds what was submitted; the state machine then says how far it is.
    fn restart(&mut self, positions: &mut Positions) {
        self.visible = self.disk.split_off(&index_after(self.recorded));
        self.disk = self.visible.clone();
        (self.purged, self.floor) = (self.recorded, self.recorded);
        let first = self.visible.keys().next().copied();
        assert!(self.recorded.is_none() || first.is_none_or(|first| first == index_after(self.recorded)));
        assert!(self.visible.values().zip(self.begin()..).all(|(entry, index)| entry.index == index));
        assert!(index_after(self.committed) <= index_after(self.last()), "committed entries are lost");
        *positions = Positions::opened(first, self.last(), self.recorded, self.committed);
        match self.durable {
            Some(durable) if index_after(Some(durable)) > index_after(self.last()) => {
                self.reset(positions, durable.index);
            }
            Some(durable) => {
                let is_news = index_after(Some(durable)) > index_after(self.recorded);
                assert_eq!(positions.raise_durable_applied(durable), is_news);
                assert_eq!(positions.release(), None);
            }
            None => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_history_leaves_valid_positions_that_a_model_agrees_with(steps in steps()) {
        let (mut model, mut positions) = (Model::default(), Positions::default());
        for step in &steps {
            model.take(step, &mut positions);
        }
    }
}

fn id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
}

/// Each of these would be a wrong step of `replica_log`, not of openraft.
#[test]
#[cfg(debug_assertions)]
fn wrong_positions_are_found() {
    let filled = Positions::opened(Some(0), Some(id(9)), None, Some(id(5)));
    let wrong = |name, change: fn(&mut Positions)| {
        let mut positions = filled.clone();
        let found = std::panic::catch_unwind(move || {
            change(&mut positions);
            positions.assert_valid();
        });
        assert!(found.is_err(), "{name}");
    };
    wrong("a committed entry is gone", |it| it.last = Some(id(4)));
    wrong("the log begins behind its end", |it| it.begin = 11);
    wrong("a purge that readers do not see", |it| it.purged = Some(id(3)));
    wrong("a release of what is not purged", |it| it.recorded = Some(id(3)));
    wrong("a release of what the state machine needs", |it| {
        it.purge(id(5));
        it.recorded = Some(id(5));
    });
    wrong("an entry behind a gap", |it| {
        it.purge(id(20));
        it.last = Some(id(21));
    });
    wrong("an append behind the next index", |it| it.append(11, id(11)));
    wrong("a reset below a recorded purge", |it| {
        it.raise_durable_applied(id(9));
        it.purge(id(8));
        it.release();
        it.reset(id(3));
    });
}
