use std::panic::catch_unwind;

use proptest::prelude::*;

use super::*;
use crate::blobs::record::record_bytes;

/// One thing that the writer or compaction does.
#[derive(Clone, Debug)]
enum Step {
    /// A record of a body of so many bytes goes to the newest segment.
    Append(u32),
    /// The index forgets one of its records.
    Free(prop::sample::Index),
    /// A new segment is begun.
    Roll,
    /// Segments in which nothing counts are unlinked.
    Unlink,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..=20_000u32).prop_map(Step::Append),
        3 => any::<prop::sample::Index>().prop_map(Step::Free),
        1 => Just(Step::Roll),
        1 => Just(Step::Unlink),
    ]
}

fn at(segment: u64, offset: u64, length: u32) -> Location {
    Location { segment, offset, length, crc: 0, written_at_ms: 0 }
}

/// The ledger's content, kept as plain lists.
struct Model {
    /// By segment, its length.
    lengths: BTreeMap<u64, u64>,
    live: Vec<Location>,
}

impl Model {
    fn live_of(&self, segment: u64) -> u64 {
        let of_it = self.live.iter().filter(|at| at.segment == segment);
        of_it.map(Location::record_bytes).sum()
    }

    fn usage(&self) -> BlobUsage {
        let written: u64 = self.lengths.values().map(|length| length - FIRST_RECORD).sum();
        let live_bytes = self.live.iter().map(Location::record_bytes).sum();
        BlobUsage { live_bytes, dead_bytes: written - live_bytes, segments: self.lengths.len() as u64 }
    }

    fn empty(&self) -> Vec<u64> {
        let sealed = self.lengths.keys().rev().skip(1);
        sealed.copied().filter(|segment| self.live_of(*segment) == 0).collect()
    }

    fn sparsest(&self) -> Option<u64> {
        let sealed = self.lengths.iter().rev().skip(1);
        let live = sealed.map(|(segment, length)| (*segment, self.live_of(*segment), length - FIRST_RECORD));
        let sparse = live.filter(|(_, live, written)| *live > 0 && *live < written / 2);
        sparse.min_by_key(|(_, live, _)| *live).map(|(segment, ..)| segment)
    }
}

proptest! {
    #[test]
    fn it_counts_what_the_index_names_and_nothing_else(steps in prop::collection::vec(step(), 0..200)) {
        let ledger = Ledger::default();
        ledger.set_length(1, FIRST_RECORD);
        let mut model = Model { lengths: [(1, FIRST_RECORD)].into(), live: Vec::new() };
        for step in steps {
            let (newest, end) = model.lengths.last_key_value().map(|(id, end)| (*id, *end)).expect("one");
            match step {
                Step::Append(length) => {
                    let record = at(newest, end, length);
                    model.lengths.insert(newest, end + record_bytes(length));
                    model.live.push(record);
                    ledger.set_length(newest, end + record_bytes(length));
                    ledger.add(&record);
                }
                Step::Free(_) if model.live.is_empty() => {}
                Step::Free(which) => {
                    let freed = model.live.swap_remove(which.index(model.live.len()));
                    ledger.free(&freed);
                }
                Step::Roll => {
                    model.lengths.insert(newest + 1, FIRST_RECORD);
                    ledger.set_length(newest + 1, FIRST_RECORD);
                }
                Step::Unlink => {
                    prop_assert_eq!(ledger.empty(), model.empty());
                    for segment in ledger.empty() {
                        model.lengths.remove(&segment);
                        ledger.remove(segment);
                    }
                }
            }
            prop_assert_eq!(ledger.usage(), model.usage());
            prop_assert_eq!(ledger.live(newest), model.live_of(newest));
            prop_assert_eq!(ledger.empty(), model.empty());
            prop_assert_eq!(ledger.sparsest(), model.sparsest());
        }
    }
}

/// A call that no writer makes, given a ledger that has the record.
type Break = fn(&Ledger, &Location);

#[test]
fn what_would_break_the_count_is_noticed_where_it_happens() {
    let record = at(1, FIRST_RECORD, 10);
    let written = || {
        let ledger = Ledger::default();
        ledger.set_length(1, FIRST_RECORD + record.record_bytes());
        ledger.add(&record);
        ledger
    };
    let breaks: [(&str, Break); 5] = [
        ("a record added twice", |ledger, record| ledger.add(record)),
        ("one of a segment that is not known", |ledger, _| ledger.add(&at(2, FIRST_RECORD, 10))),
        ("a segment cut off before its last record", |ledger, _| ledger.set_length(1, FIRST_RECORD)),
        ("a segment removed while it counts", |ledger, _| ledger.remove(1)),
        ("a record freed twice", |ledger, record| {
            ledger.free(record);
            ledger.free(record);
        }),
    ];
    for (what, broken) in breaks {
        let noticed = catch_unwind(|| broken(&written(), &record)).is_err();
        assert_eq!(noticed, cfg!(debug_assertions), "{what}");
    }
}
