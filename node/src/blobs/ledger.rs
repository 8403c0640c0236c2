//! How many bytes of each segment still count. The writer keeps it; reports and compaction read it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use rowhouse_proto::lock::lock;

use super::record::{FIRST_RECORD, Location};

/// Bytes of chunks on disk, headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobUsage {
    /// Bytes of records that the index names.
    pub live_bytes: u64,
    /// Deleted or overwritten, and not yet given back.
    pub dead_bytes: u64,
    /// Files, the one that is written among them.
    pub segments: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Bytes of the file, without its header.
    written: u64,
    /// Bytes of records that the index names.
    live: u64,
}

impl Share {
    /// Records lie behind each other in their file, and each chunk has one.
    fn is_sound(&self) -> bool {
        self.live <= self.written
    }
}

/// By segment. In each of them no more counts than was written.
#[derive(Default)]
pub(super) struct Ledger {
    shares: Mutex<BTreeMap<u64, Share>>,
}

impl Ledger {
    /// A segment is so long now. Told before any of its records is added.
    pub(super) fn set_length(&self, segment: u64, length: u64) {
        let mut shares = self.shares();
        let share = shares.entry(segment).or_default();
        share.written = length.saturating_sub(FIRST_RECORD);
        debug_assert!(share.is_sound(), "segment {segment} was cut off before its last record: {share:?}");
    }

    /// The index names this record from now on.
    pub(super) fn add(&self, at: &Location) {
        let mut shares = self.shares();
        let share = shares.entry(at.segment).or_default();
        share.live += at.record_bytes();
        debug_assert!(share.is_sound(), "{at:?} was added twice or before it was written: {share:?}");
    }

    /// The index names this record no more.
    pub(super) fn free(&self, at: &Location) {
        let mut shares = self.shares();
        let share = shares.get_mut(&at.segment);
        debug_assert!(
            share.as_ref().is_some_and(|share| share.live >= at.record_bytes()),
            "{at:?} was freed twice or never added: {share:?}"
        );
        if let Some(share) = share {
            share.live = share.live.saturating_sub(at.record_bytes());
        }
    }

    /// The segment's file is gone.
    pub(super) fn remove(&self, segment: u64) {
        let removed = self.shares().remove(&segment);
        debug_assert!(
            removed.is_some_and(|share| share.live == 0),
            "segment {segment} was removed while it counted: {removed:?}"
        );
    }

    /// Bytes of a segment's records that count.
    pub(super) fn live(&self, segment: u64) -> u64 {
        self.shares().get(&segment).map_or(0, |share| share.live)
    }

    /// Sealed segments in which nothing counts any more.
    pub(super) fn empty(&self) -> Vec<u64> {
        let shares = self.shares();
        sealed(&shares).filter(|(_, share)| share.live == 0).map(|(segment, _)| segment).collect()
    }

    /// The sealed segment with the least that counts, if that is less than half.
    pub(super) fn sparsest(&self) -> Option<u64> {
        let shares = self.shares();
        let sparse = sealed(&shares).filter(|(_, share)| share.live > 0 && share.live < share.written / 2);
        sparse.min_by_key(|(_, share)| share.live).map(|(segment, _)| segment)
    }

    /// The segment that is written, if it has these bytes at least and less than a quarter of them count.
    pub(super) fn wasted(&self, written_min: u64) -> Option<u64> {
        let shares = self.shares();
        let (segment, share) = shares.last_key_value()?;
        (share.written >= written_min && share.live < share.written / 4).then_some(*segment)
    }

    /// Over all segments.
    pub(super) fn usage(&self) -> BlobUsage {
        let shares = self.shares();
        let mut usage = BlobUsage { segments: shares.len() as u64, ..BlobUsage::default() };
        for share in shares.values() {
            usage.live_bytes += share.live;
            usage.dead_bytes += share.written.saturating_sub(share.live);
        }
        usage
    }

    fn shares(&self) -> MutexGuard<'_, BTreeMap<u64, Share>> {
        lock(&self.shares)
    }
}

/// All but the newest, which is still written.
fn sealed(shares: &BTreeMap<u64, Share>) -> impl Iterator<Item = (u64, Share)> + '_ {
    shares.iter().rev().skip(1).map(|(segment, share)| (*segment, *share))
}

#[cfg(test)]
mod tests;
