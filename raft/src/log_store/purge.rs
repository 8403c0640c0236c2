//! How purged entries leave the database: a compaction filter drops what lies at or below a replica's
//! floor, and whole files of it go at once. No tombstones are written (docs/rules/storage.md#one-log-for-all-groups).
//!
//! A floor is raised only after the LastPurged record it stems from was synced: otherwise a crash
//! could leave a log that begins behind a hole.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rocksdb::compaction_filter::CompactionFilter;
use rocksdb::compaction_filter_factory::{CompactionFilterContext, CompactionFilterFactory};
use rocksdb::{CompactionDecision, DB};

use super::keys;
use super::replica::TOMBSTONE_FLOOR;
use crate::ReplicaId;

/// Purged bytes of a replica after which its files are dropped without waiting for a compaction.
const DROP_FILES_BYTES: u64 = 64 * 1024 * 1024;
/// Assumed size of entries written before this process started.
const UNKNOWN_ENTRY_BYTES: u64 = 512;

type FloorMap = BTreeMap<ReplicaId, u64>;

/// Per replica, the index up to which its entries are gone for good.
#[derive(Default)]
pub(super) struct Floors(ArcSwap<FloorMap>);

impl Floors {
    pub(super) fn get(&self, replica: ReplicaId) -> Option<u64> {
        self.0.load().get(&replica).copied()
    }

    pub(super) fn raise(&self, purged: &[(ReplicaId, u64)]) {
        let mut floors = FloorMap::clone(&self.0.load());
        for &(replica, upto) in purged {
            let floor = floors.entry(replica).or_default();
            *floor = (*floor).max(upto);
        }
        self.0.store(Arc::new(floors));
    }
}

/// Makes a filter for each compaction, over the floors at its start.
pub(super) struct PurgeFilterFactory(pub(super) Arc<Floors>);

pub(super) struct PurgeFilter(Arc<FloorMap>);

impl CompactionFilterFactory for PurgeFilterFactory {
    type Filter = PurgeFilter;

    fn create(&mut self, _: CompactionFilterContext) -> PurgeFilter {
        PurgeFilter(self.0.0.load_full())
    }

    fn name(&self) -> &CStr {
        c"rowhouse.purge"
    }
}

impl CompactionFilter for PurgeFilter {
    fn filter(&mut self, _level: u32, key: &[u8], _value: &[u8]) -> CompactionDecision {
        match keys::parse_entry(key) {
            Some((replica, index)) if self.0.get(&replica).is_some_and(|floor| index <= *floor) => {
                CompactionDecision::Remove
            }
            _ => CompactionDecision::Keep,
        }
    }

    fn name(&self) -> &CStr {
        c"rowhouse.purge"
    }
}

/// Drops whole files of purged entries now and then. Safe because nobody reads below a floor.
#[derive(Default)]
pub(super) struct FileDrop {
    volumes: BTreeMap<ReplicaId, Volume>,
}

#[derive(Default)]
struct Volume {
    entries: u64,
    bytes: u64,
    dropped_to: u64,
}

impl Volume {
    fn entry_bytes(&self) -> u64 {
        self.bytes.checked_div(self.entries).unwrap_or(UNKNOWN_ENTRY_BYTES)
    }
}

impl FileDrop {
    pub(super) fn appended(&mut self, replica: ReplicaId, entries: usize, bytes: usize) {
        let volume = self.volumes.entry(replica).or_default();
        volume.entries += entries as u64;
        volume.bytes += bytes as u64;
    }

    /// The floors are synced and raised; drops the files behind those that are worth it.
    pub(super) fn purged(&mut self, db: &DB, purged: &[(ReplicaId, u64)]) {
        for &(replica, upto) in purged {
            if !self.is_due(replica, upto) {
                continue;
            }
            // A file that stays is merely space: the filter takes it later.
            if let Err(error) = db.delete_file_in_range(keys::entry(replica, 0), keys::entry(replica, upto)) {
                tracing::warn!(replica, %error, "cannot drop files of purged log entries");
            }
        }
    }

    fn is_due(&mut self, replica: ReplicaId, upto: u64) -> bool {
        if upto == TOMBSTONE_FLOOR {
            self.volumes.remove(&replica);
            return true;
        }
        let volume = self.volumes.entry(replica).or_default();
        let due =
            upto.saturating_sub(volume.dropped_to).saturating_mul(volume.entry_bytes()) >= DROP_FILES_BYTES;
        if due {
            volume.dropped_to = upto;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floors_only_rise() {
        let floors = Floors::default();
        floors.raise(&[(1, 10), (2, 5)]);
        floors.raise(&[(1, 7), (2, 6)]);
        assert_eq!((floors.get(1), floors.get(2), floors.get(3)), (Some(10), Some(6), None));
    }

    #[test]
    fn the_filter_takes_purged_entries_and_nothing_else() {
        let floors = Arc::new(Floors::default());
        floors.raise(&[(1, 10)]);
        let mut filter = PurgeFilter(floors.0.load_full());
        let mut removed = |key: &[u8]| matches!(filter.filter(0, key, b""), CompactionDecision::Remove);
        assert!(removed(&keys::entry(1, 10)));
        assert!(!removed(&keys::entry(1, 11)));
        assert!(!removed(&keys::entry(2, 1)));
        assert!(!removed(&keys::meta(1, super::super::engine::MetaKind::Vote)));
    }

    #[test]
    fn files_are_dropped_per_volume_purged() {
        let mut drop = FileDrop::default();
        drop.appended(1, 1_000, 64 * 1024 * 1_000);
        assert!(!drop.is_due(1, 1_023));
        assert!(drop.is_due(1, 1_024));
        assert!(!drop.is_due(1, 1_100));
        assert!(drop.is_due(2, TOMBSTONE_FLOOR));
    }
}
