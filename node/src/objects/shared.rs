//! State that the keepers of objects share: the store, the way to other replicas, what is known, progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::meta::ObjectStatus;
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::ReplicaId;
use rowhouse_raft::log_store::{ReplicaPhase, ReplicaRecord};
use tracing::error;

use super::inventory::{Damage, Inventory, Stock};
use super::progress::Progress;
use super::rate::Rate;
use crate::blobs::{BlobStore, ChunkKey, HeldVersion, VersionId};
use crate::local::Local;
use crate::peers::Cluster;
use crate::settings::ObjectLimits;
use crate::state::objects::{ObjectId, object};
use crate::{Error, Group, meta};

/// Objects read from the index at once.
const HELD_PAGE: usize = 256;

/// One for each node; its keepers are the actors of this folder.
pub struct Objects {
    pub(super) local: Arc<Local>,
    pub(super) cluster: Arc<Cluster>,
    pub blobs: Arc<BlobStore>,
    pub(super) progress: Progress,
    pub(super) inventory: Inventory,
    pub(super) limits: ObjectLimits,
    /// Of what all replicas of the node take in from others.
    pub(super) rate: Rate,
}

impl Objects {
    /// Nothing runs yet. Missing chunks are fetched at `bytes_per_second`, for all replicas of the node together.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        blobs: Arc<BlobStore>,
        limits: ObjectLimits,
        bytes_per_second: u64,
    ) -> Self {
        let (progress, inventory) = (Progress::default(), Inventory::default());
        Self { local, cluster, blobs, progress, inventory, limits, rate: Rate::new(bytes_per_second) }
    }

    /// What a replica that runs here has of its objects.
    pub fn stock(&self, replica: ReplicaId) -> Stock {
        self.inventory.stock(replica)
    }

    /// A chunk on this disk is not what was written: it is to be mended from another replica.
    pub fn damaged(&self, damage: Damage) {
        if self.inventory.note(damage) {
            let Damage { replica, object, index } = damage;
            let object = rowhouse_proto::hex(&object);
            error!(
                replica,
                object, index, "a chunk on this disk is damaged; it is fetched from another replica"
            );
        }
    }

    /// A chunk is not here that should be: it is to be fetched from another replica, unless it came meanwhile.
    pub fn lacks(&self, damage: Damage) {
        self.inventory.note(damage);
    }

    /// The shards' replicas that run here.
    pub(super) fn shards(&self) -> Vec<Arc<Group>> {
        self.local.host.groups().into_iter().filter(|group| group.id() != meta::GROUP).collect()
    }

    /// The keepers' counters.
    pub fn progress(&self) -> &Progress {
        &self.progress
    }

    /// For operators. With `scan` it reads the whole index: call it where blocking is fine.
    pub fn status(&self, scan: bool) -> Result<ObjectStatus, Error> {
        let (usage, progress) = (self.blobs.usage(), &self.progress);
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Ok(ObjectStatus {
            live_bytes: usage.live_bytes,
            dead_bytes: usage.dead_bytes,
            segments: usage.segments,
            filled: count(&progress.filled),
            repaired: count(&progress.repaired),
            erased: count(&progress.erased),
            swept: count(&progress.swept),
            scrubbed: count(&progress.scrubbed),
            scrub_ended_ms: count(&progress.scrub_ended_ms),
            held: if scan { Some(self.held()?) } else { None },
        })
    }

    /// Versions after `after`, read off the async threads: each one's chunks are counted.
    pub(super) async fn held_page(
        &self,
        group: &Group,
        after: Option<VersionId>,
    ) -> Result<Vec<HeldVersion>, Error> {
        let (blobs, replica) = (Arc::clone(&self.blobs), group.replica());
        tokio::task::spawn_blocking(move || blobs.versions(replica, after, HELD_PAGE))
            .await
            .map_err(|_| Error::Stopped)?
    }

    /// Whether the replica was removed from its group for good.
    pub(super) fn is_dead(&self, replica: ReplicaId) -> Result<bool, Error> {
        let record = ReplicaRecord::read(self.local.engine.as_ref(), replica)?;
        Ok(record.is_some_and(|record| record.phase == ReplicaPhase::Tombstone))
    }

    /// How many versions the store holds, of whichever replica.
    fn held(&self) -> Result<u64, Error> {
        let (mut held, mut last) = (0, None);
        while let Some(next) = self.blobs.next_version(last)? {
            last = Some(next);
            held += 1;
        }
        Ok(held)
    }
}

/// How many chunks a body of so many bytes has.
pub fn chunk_count(length: u64) -> u32 {
    u32::try_from(length.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// The row, while it is an entry's body.
pub(super) fn live(group: &Group, id: &ObjectId) -> Result<Option<Object>, Error> {
    let row = group.read_latest(|view| object(view, id))?;
    Ok(row.filter(|row| row.state() == State::Live))
}

/// Index of the last entry that is applied here; 0: none.
pub(super) fn applied(group: &Group) -> u64 {
    group.applied().log_id.map_or(0, |log_id| log_id.index)
}

/// The key of one of an object's chunks at this replica.
pub(super) fn key(group: &Group, object: ObjectId, index: u32) -> ChunkKey {
    ChunkKey { replica: group.replica(), version: object, index }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
