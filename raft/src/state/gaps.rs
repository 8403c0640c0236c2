//! Ranges of the state database that hold no key, so that scans pass them in one step
//! (docs/rules/storage.md#deleted-rows-cost-nothing).
//!
//! RocksDB finds a deleted row only by walking over its tombstone, until a compaction drops it. Within one memtable or
//! file a range tombstone does not change that. So the writer of a table remembers here where nothing is left.
//! A gap says nothing new: it may be forgotten at any time, and a crash forgets all of them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::generation;
use crate::lock::lock;

/// Group, generation and table. A gap never leaves its table.
const TABLE_BYTES: usize = generation::PREFIX_BYTES + 1;

/// How much is remembered, and when it is worth it.
#[derive(Clone, Copy)]
pub(super) struct GapLimits {
    /// Changes of a table that its writer looks at together: a scan may walk over so many that are not looked at yet.
    pub changes: usize,
    /// Dead records in a row that make a gap: to open an iterator behind it costs as much as to walk over these.
    pub run: u64,
    /// Gaps of the whole node. Beyond it those with the fewest deletes are forgotten.
    pub gaps: usize,
}

/// Under a megabyte of memory.
pub(super) const LIMITS: GapLimits = GapLimits { changes: 64, run: 64, gaps: 4096 };

/// Keys `start <= key < end`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Span {
    pub start: Bytes,
    pub end: Bytes,
}

struct Gap {
    end: Bytes,
    /// The first sequence number of the database at which it was empty; it has been ever since.
    since: u64,
    /// Keys that its writer deleted in it, about.
    deletes: u64,
    rest: Rest,
}

/// Flushes that a gap outlived unchanged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    None,
    One,
    /// And a range tombstone stands for it in the database.
    Recorded,
}

/// The gaps of all tables.
pub(super) struct Gaps {
    limits: GapLimits,
    known: Mutex<Known>,
    /// A bit for each table that was ever scanned: the others need no gaps.
    scanned: [AtomicU64; 4],
}

#[derive(Default)]
struct Known {
    /// By start. They do not overlap.
    gaps: BTreeMap<Bytes, Gap>,
    /// Keys by table that were deleted, or written into a gap, and that nobody looked at yet.
    changed: BTreeMap<Bytes, Vec<Bytes>>,
}

impl Gaps {
    pub(super) fn new(limits: GapLimits) -> Self {
        Self { limits, known: Mutex::default(), scanned: Default::default() }
    }

    pub(super) fn limits(&self) -> GapLimits {
        self.limits
    }

    /// A scan begins at `from`.
    pub(super) fn note_scan(&self, from: &[u8]) {
        let Some(table) = from.get(TABLE_BYTES - 1) else { return };
        let (word, bit) = (&self.scanned[usize::from(table >> 6)], 1 << (table & 63));
        if word.load(Ordering::Relaxed) & bit == 0 {
            word.fetch_or(bit, Ordering::Relaxed);
        }
    }

    fn is_scanned(&self, table: u8) -> bool {
        self.scanned[usize::from(table >> 6)].load(Ordering::Relaxed) & (1 << (table & 63)) != 0
    }

    /// Takes note of writes. It must come before them: a gap that still lies over a new key hides it.
    /// Returns the changed keys of each table in which enough changed.
    pub(super) fn note_writes(&self, writes: &[(Bytes, Option<Bytes>)]) -> Vec<Vec<Bytes>> {
        let mut known = lock(&self.known);
        let mut ripe = Vec::new();
        for (key, value) in writes {
            let Some(prefix) = key.get(..TABLE_BYTES) else { continue };
            let changed = match value {
                Some(_) => known.split(key),
                None => self.is_scanned(prefix[TABLE_BYTES - 1]),
            };
            if !changed {
                continue;
            }
            let keys = match known.changed.get_mut(prefix) {
                Some(keys) => keys,
                None => known.changed.entry(Bytes::copy_from_slice(prefix)).or_default(),
            };
            keys.push(key.clone());
            if keys.len() >= self.limits.changes {
                ripe.push(std::mem::take(keys));
            }
        }
        ripe
    }

    /// The first gap that reaches into `from <= key < to` and was empty at `sequence`, when that lies in the past.
    pub(super) fn first(&self, from: &[u8], to: &[u8], sequence: u64) -> Option<Span> {
        if from >= to {
            return None;
        }
        let known = lock(&self.known);
        let at = known.gaps.range::<[u8], _>((Bound::Unbounded, Bound::Included(from))).next_back();
        let after = known.gaps.range::<[u8], _>((Bound::Excluded(from), Bound::Excluded(to)));
        let mut reaching = at.into_iter().filter(|(_, gap)| gap.end.as_ref() > from).chain(after);
        reaching.find(|(_, gap)| gap.since <= sequence).map(span)
    }

    /// The last gap that reaches into `from <= key < to` and was empty at `sequence`, when that lies in the past.
    pub(super) fn last(&self, from: &[u8], to: &[u8], sequence: u64) -> Option<Span> {
        let known = lock(&self.known);
        let mut before = known.gaps.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(to))).rev();
        before
            .by_ref()
            .take_while(|(_, gap)| gap.end.as_ref() > from)
            .find(|(_, gap)| gap.since <= sequence)
            .map(span)
    }

    /// Adds what its table's writer found empty since `since`, from one living key to the next, after `deletes` more
    /// deletes. Gaps within it become one.
    pub(super) fn insert(&self, found: Span, since: u64, deletes: u64) {
        let mut known = lock(&self.known);
        let deletes = deletes + known.remove_within(&found.start, &found.end);
        known.gaps.insert(found.start, Gap { end: found.end, since, deletes, rest: Rest::None });
        known.shed(self.limits.gaps);
    }

    /// Forgets the gap that ends at `key`.
    pub(super) fn forget_before(&self, key: &[u8]) {
        let mut known = lock(&self.known);
        let before = known.gaps.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key))).next_back();
        if let Some(start) = before.filter(|(_, gap)| gap.end.as_ref() == key).map(|(start, _)| start.clone())
        {
            known.gaps.remove(&start);
        }
    }

    /// Forgets the gap that begins right behind `key`.
    pub(super) fn forget_behind(&self, key: &[u8]) {
        lock(&self.known).gaps.remove(&behind(key));
    }

    /// Forgets everything about a range that is dropped.
    pub(super) fn forget_within(&self, from: &[u8], to: &[u8]) {
        let mut known = lock(&self.known);
        known.remove_within(from, to);
        known.changed.retain(|prefix, _| prefix.as_ref() < from || prefix.as_ref() >= to);
    }

    /// A flush begins: returns the gaps for which a range tombstone is due, because they have not changed since the
    /// flush before. Nobody may write until it is written.
    pub(super) fn settle(&self) -> Vec<Span> {
        let mut known = lock(&self.known);
        let mut due = Vec::new();
        for (start, gap) in &mut known.gaps {
            match gap.rest {
                Rest::None => gap.rest = Rest::One,
                Rest::One => {
                    gap.rest = Rest::Recorded;
                    due.push(Span { start: start.clone(), end: gap.end.clone() });
                }
                Rest::Recorded => {}
            }
        }
        due
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        lock(&self.known).gaps.len()
    }
}

impl Known {
    /// Cuts a key that comes to life out of its gap; says whether it lay in one.
    fn split(&mut self, key: &Bytes) -> bool {
        let over =
            self.gaps.range_mut::<[u8], _>((Bound::Unbounded, Bound::Included(key.as_ref()))).next_back();
        let Some((start, gap)) = over.filter(|(_, gap)| gap.end > *key) else { return false };
        let rest = Gap { end: gap.end.clone(), ..*gap };
        if start == key {
            self.gaps.remove(key);
        } else {
            gap.end = key.clone();
        }
        let start = behind(key);
        if start < rest.end {
            self.gaps.insert(start, rest);
        }
        true
    }

    /// Returns the deletes of those removed. None reaches over an edge.
    fn remove_within(&mut self, from: &[u8], to: &[u8]) -> u64 {
        let within = self.gaps.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let starts: Vec<Bytes> = within.map(|(start, _)| start.clone()).collect();
        starts.iter().filter_map(|start| self.gaps.remove(start)).map(|gap| gap.deletes).sum()
    }

    /// An eighth at a time, so that its cost is shared by many.
    fn shed(&mut self, gaps_max: usize) {
        if self.gaps.len() <= gaps_max {
            return;
        }
        let mut deletes: Vec<u64> = self.gaps.values().map(|gap| gap.deletes).collect();
        let kept = gaps_max - gaps_max / 8;
        let mut surplus = deletes.len() - kept;
        let (_, limit, _) = deletes.select_nth_unstable(surplus);
        let limit = *limit;
        self.gaps.retain(|_, gap| {
            let shed = surplus > 0 && gap.deletes <= limit;
            surplus -= usize::from(shed);
            !shed
        });
    }
}

fn span((start, gap): (&Bytes, &Gap)) -> Span {
    Span { start: start.clone(), end: gap.end.clone() }
}

/// The smallest key above `key`.
pub(super) fn behind(key: &[u8]) -> Bytes {
    [key, &[0]].concat().into()
}

/// All keys of the table in which `key` lies.
pub(super) fn table_of(key: &[u8]) -> Span {
    let start = Bytes::copy_from_slice(&key[..key.len().min(TABLE_BYTES)]);
    let end = generation::end_of(&start);
    Span { start, end }
}
