//! Scans of RocksDB do not walk over what was deleted, and see all that lives.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::*;
use rocksdb::perf::{PerfContext, PerfMetric, PerfStatsLevel, set_perf_stats};

use super::super::gaps::{GapLimits, Gaps, LIMITS, Span};
use crate::state::{RocksState, ScanOrder, StateBatch, StateEngine, StateOptions, StateRead};

/// Group 0, generation 0, table 0x30.
const TABLE: [u8; 7] = [0, 0, 0, 0, 0, 0, 0x30];
const TABLE_END: [u8; 7] = [0, 0, 0, 0, 0, 0, 0x31];
/// Too few tombstones for a compaction to remove them.
const KEYS: u32 = 10_000;
/// Keys of one write, as a busy group has them.
const WRITE_KEYS: usize = 50;
const ORDERS: [ScanOrder; 2] = [ScanOrder::Ascending, ScanOrder::Descending];
/// Together longer than the slowest machine takes.
const COMPACTION_POLLS: u32 = 600;
const COMPACTION_PAUSE: Duration = Duration::from_millis(50);
/// Steps of a scan over nothing but what its writer did not look at yet, a tombstone and a value each. A walk over all
/// that was deleted takes four times `KEYS`: RocksDB counts a record that it skips as well as the step to the next.
const STEPS_MAX: u64 = 4 * LIMITS.changes as u64;

fn open(dir: &Path) -> RocksState {
    // All of a test fits into one memtable.
    RocksState::open(dir, StateOptions::new(1 << 30)).expect("open")
}

fn key(number: u32) -> Bytes {
    [TABLE.as_slice(), &number.to_be_bytes()].concat().into()
}

fn write(state: &RocksState, keys: &[u32], value: Option<&'static [u8]>) {
    for part in keys.chunks(WRITE_KEYS) {
        let writes = part.iter().map(|number| (key(*number), value.map(Bytes::from_static))).collect();
        state.write(StateBatch { writes }).expect("write");
    }
}

/// Up to `rows` keys of the table.
fn page(read: &dyn StateRead, range: Range<Bytes>, order: ScanOrder, rows: usize) -> Vec<Bytes> {
    let mut found = Vec::new();
    read.scan(&range.start, &range.end, order, &mut |key, _| {
        found.push(Bytes::copy_from_slice(key));
        if found.len() < rows { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .expect("scan");
    found
}

fn table() -> Range<Bytes> {
    Bytes::from_static(&TABLE)..Bytes::from_static(&TABLE_END)
}

/// What it gives, and the records that RocksDB walked over meanwhile.
fn steps<T>(scan: impl FnOnce() -> T) -> (T, u64) {
    use PerfMetric::*;
    set_perf_stats(PerfStatsLevel::EnableCount);
    let mut context = PerfContext::default();
    context.reset();
    let seen = scan();
    let counted =
        [InternalDeleteSkippedCount, InternalKeySkippedCount, NextOnMemtableCount, PrevOnMemtableCount];
    let steps = counted.map(|metric| context.metric(metric)).iter().sum();
    set_perf_stats(PerfStatsLevel::Disable);
    (seen, steps)
}

/// The same keys in an order without a pattern.
fn shuffled(mut keys: Vec<u32>) -> Vec<u32> {
    keys.sort_by_key(|key| key.wrapping_mul(2_654_435_761).rotate_left(7).wrapping_mul(2_246_822_519));
    keys
}

/// Writes keys and deletes all but the two at the ends, in this order.
fn deleted(state: &RocksState, order: &[u32]) {
    page(state, table(), ScanOrder::Ascending, 1);
    write(state, &(0..=KEYS + 1).collect::<Vec<_>>(), Some(b"value"));
    write(state, order, None);
}

fn assert_cheap(state: &RocksState, what: &str) {
    let (first, last, middle) = (key(0), key(KEYS + 1), key(KEYS / 2));
    for read in [state as &dyn StateRead, state.snapshot().as_ref()] {
        for order in ORDERS {
            let mut both = vec![first.clone(), last.clone()];
            if order == ScanOrder::Descending {
                both.reverse();
            }
            let (found, steps) = steps(|| page(read, table(), order, 10));
            assert_eq!(found, both, "{what} {order:?}");
            assert!(steps <= STEPS_MAX, "{what} {order:?}: {steps} steps");
            let (found, steps) = steps_between(read, key(1)..last.clone(), order);
            assert!(found == 0 && steps <= STEPS_MAX, "{what} {order:?}: {found} found, {steps} steps");
        }
        let (_, steps) = steps_between(read, middle.clone()..table().end, ScanOrder::Ascending);
        assert!(steps <= STEPS_MAX, "{what} from within: {steps} steps");
    }
}

fn steps_between(read: &dyn StateRead, range: Range<Bytes>, order: ScanOrder) -> (usize, u64) {
    let (found, steps) = steps(|| page(read, range, order, 1));
    (found.len(), steps)
}

fn orders() -> [(&'static str, Vec<u32>); 3] {
    let keys: Vec<u32> = (1..=KEYS).collect();
    [
        ("in order", keys.clone()),
        ("in reverse", keys.iter().rev().copied().collect()),
        ("anyhow", shuffled(keys)),
    ]
}

#[test]
fn a_scan_passes_deleted_keys_in_whatever_order_they_went() {
    for (what, order) in orders() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = open(dir.path());
        deleted(&state, &order);
        assert_cheap(&state, what);
        state.flush().expect("flush");
        assert_cheap(&state, what);
    }
}

#[test]
fn a_restart_after_two_flushes_knows_what_was_deleted() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = open(dir.path());
    deleted(&state, &orders()[2].1);
    state.flush().expect("flush");
    state.flush().expect("flush");
    drop(state);
    assert_cheap(&open(dir.path()), "restarted");
}

#[test]
fn keys_written_again_come_back_and_leave_few_gaps() {
    for (what, order) in orders() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let state = open(dir.path());
        deleted(&state, &order);
        let (half, rest) = order.split_at(order.len() / 2);
        write(&state, half, Some(b"again"));
        assert_eq!(page(&state, table(), ScanOrder::Ascending, usize::MAX).len(), half.len() + 2, "{what}");
        write(&state, rest, Some(b"again"));
        let (found, steps) = steps(|| page(&state, table(), ScanOrder::Ascending, 1000));
        assert_eq!(found, (0..1000).map(key).collect::<Vec<_>>(), "{what}");
        // Each key has its value, the tombstone and the first value.
        assert!(steps <= 6 * 1000 + STEPS_MAX, "{what}: {steps} steps");
        assert!(state.gaps() <= 2 * LIMITS.changes, "{what}: {} gaps", state.gaps());
    }
}

#[test]
fn scattered_deletes_make_no_gaps() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = open(dir.path());
    let every_second: Vec<u32> = (1..=KEYS).filter(|key| key % 2 == 0).collect();
    deleted(&state, &every_second);
    assert_eq!(state.gaps(), 0);
    let (found, steps) = steps(|| page(&state, table(), ScanOrder::Ascending, 1000));
    assert_eq!(found.len(), 1000);
    // For each key its value, and the tombstone and the value of the one beside it.
    assert!(steps <= 6 * 1000 + STEPS_MAX, "{steps} steps");
}

#[test]
fn a_table_that_nobody_scans_has_no_gaps() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = open(dir.path());
    write(&state, &(0..1000).collect::<Vec<_>>(), Some(b"value"));
    write(&state, &(0..1000).collect::<Vec<_>>(), None);
    assert_eq!(state.gaps(), 0);
}

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "RocksDB compacts in threads of its own, which know no other time"
)]
fn a_file_full_of_tombstones_is_compacted_at_once() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = open(dir.path());
    let keys: Vec<u32> = (0..30_000).collect();
    write(&state, &keys, Some(b"value"));
    state.flush().expect("flush");
    write(&state, &shuffled(keys.into_iter().filter(|key| key % 20 != 0).collect()), None);
    state.flush().expect("flush");
    let walked = || steps(|| page(&state, table(), ScanOrder::Ascending, 1000)).1;
    let compacted = (0..COMPACTION_POLLS).any(|_| {
        std::thread::sleep(COMPACTION_PAUSE);
        walked() <= 1000 + STEPS_MAX
    });
    assert!(compacted, "{} steps", walked());
    assert_eq!(state.gaps(), 0);
}

#[test]
fn the_gaps_with_most_deletes_are_kept() {
    let gaps = Gaps::new(GapLimits { gaps: 8, ..LIMITS });
    let span = |number: u32| Span { start: key(number), end: key(number + 1) };
    for number in 0..100 {
        gaps.insert(span(number), 0, if number == 3 { 50 } else { 2 });
        assert!(gaps.len() <= 8);
    }
    assert_eq!(gaps.first(&TABLE, &TABLE_END, 0), Some(span(3)));
    gaps.forget_within(&TABLE, &TABLE_END);
    assert_eq!(gaps.len(), 0);
}

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>),
    Delete(Vec<u8>),
    DeleteAll(Range<u8>),
    Flush,
    Snapshot,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => prop::collection::vec(0u8..60, 1..5).prop_map(Step::Put),
        3 => prop::collection::vec(0u8..60, 1..5).prop_map(Step::Delete),
        3 => (0u8..60, 0u8..60).prop_map(|(a, b)| Step::DeleteAll(a.min(b)..a.max(b))),
        1 => Just(Step::Flush),
        1 => Just(Step::Snapshot),
    ]
}

fn check(read: &dyn StateRead, model: &BTreeMap<Bytes, ()>, range: &Range<Bytes>) {
    let mut expected: Vec<Bytes> =
        model.keys().filter(|key| **key >= range.start && **key < range.end).cloned().collect();
    assert_eq!(page(read, range.clone(), ScanOrder::Ascending, usize::MAX), expected);
    expected.reverse();
    assert_eq!(page(read, range.clone(), ScanOrder::Descending, usize::MAX), expected);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn no_scan_misses_a_living_key(
        steps in prop::collection::vec(step(), 1..60),
        (from, to) in (0u32..60, 0u32..60),
    ) {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut options = StateOptions::new(1 << 20);
        // A gap for almost every delete, and more than are kept.
        options.gaps = GapLimits { changes: 2, run: 1, gaps: 6 };
        let state = RocksState::open(dir.path(), options).expect("open");
        let parts = [table(), key(from.min(to))..key(from.max(to))];
        let mut model: BTreeMap<Bytes, ()> = (0..60).map(|number| (key(number), ())).collect();
        write(&state, &(0..60).collect::<Vec<_>>(), Some(b"value"));
        let mut snapshots = Vec::new();
        for step in steps {
            let (keys, value) = match step {
                Step::Put(keys) => (keys, Some(b"again".as_slice())),
                Step::Delete(keys) => (keys, None),
                Step::DeleteAll(keys) => (keys.collect(), None),
                Step::Flush => {
                    state.flush().expect("flush");
                    continue;
                }
                Step::Snapshot => {
                    snapshots.push((state.snapshot(), model.clone()));
                    continue;
                }
            };
            let keys: Vec<u32> = keys.into_iter().map(u32::from).collect();
            for number in &keys {
                match value {
                    Some(_) => model.insert(key(*number), ()),
                    None => model.remove(&key(*number)),
                };
            }
            write(&state, &keys, value);
            for part in &parts {
                check(&state, &model, part);
                check(state.snapshot().as_ref(), &model, part);
            }
        }
        for (snapshot, then) in &snapshots {
            check(snapshot.as_ref(), then, &parts[0]);
        }
    }
}
