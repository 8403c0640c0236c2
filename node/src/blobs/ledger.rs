//! How much of each segment still counts. The writer keeps it; reports and compaction read it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::Location;
use super::record::FIRST_RECORD;

/// What the chunks take on disk, headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BlobUsage {
    pub live_bytes: u64,
    /// Deleted or overwritten, and not yet given back.
    pub dead_bytes: u64,
    pub segments: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Share {
    /// Of the file, without its header.
    written: u64,
    live: u64,
}

#[derive(Default)]
pub(super) struct Ledger {
    shares: Mutex<BTreeMap<u64, Share>>,
}

impl Ledger {
    /// A segment is so long now.
    pub(super) fn set_length(&self, segment: u64, length: u64) {
        let written = length.saturating_sub(FIRST_RECORD);
        self.shares().entry(segment).or_default().written = written;
    }

    pub(super) fn add(&self, at: &Location) {
        self.shares().entry(at.segment).or_default().live += at.record_bytes();
    }

    pub(super) fn free(&self, at: &Location) {
        if let Some(share) = self.shares().get_mut(&at.segment) {
            share.live = share.live.saturating_sub(at.record_bytes());
        }
    }

    pub(super) fn remove(&self, segment: u64) {
        self.shares().remove(&segment);
    }

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
        self.shares.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All but the newest, which is still written.
fn sealed(shares: &BTreeMap<u64, Share>) -> impl Iterator<Item = (u64, Share)> + '_ {
    shares.iter().rev().skip(1).map(|(segment, share)| (*segment, *share))
}
