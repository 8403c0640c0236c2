//! State that the keepers of objects share: the store, the way to other replicas, progress.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::meta::ObjectStatus;
use tokio::sync::{Mutex, mpsc};

use super::progress::{Damage, Progress};
use crate::blobs::{BlobStore, ChunkKey, HeldVersion, VersionId};
use crate::local::Local;
use crate::peers::Cluster;
use crate::settings::ObjectLimits;
use crate::state::objects::ObjectId;
use crate::{Error, Group, meta};

/// Objects read from the index at once.
const HELD_PAGE: usize = 256;

/// One for each node; its keepers are the actors of this folder.
pub struct Objects {
    pub(super) local: Arc<Local>,
    pub(super) cluster: Arc<Cluster>,
    pub blobs: Arc<BlobStore>,
    pub progress: Progress,
    pub(super) limits: ObjectLimits,
    /// Reports of damage. The filling actor holds it.
    pub(super) damage: Mutex<mpsc::Receiver<Damage>>,
}

impl Objects {
    /// Nothing runs yet.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        blobs: Arc<BlobStore>,
        limits: ObjectLimits,
    ) -> Self {
        let (progress, damage) = Progress::new();
        Self { local, cluster, blobs, progress, limits, damage: Mutex::new(damage) }
    }

    /// The shards' replicas that run here.
    pub(super) fn shards(&self) -> Vec<Arc<Group>> {
        self.local.host.groups().into_iter().filter(|group| group.id() != meta::GROUP).collect()
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

    /// How many versions the store holds of the replicas that run here.
    fn held(&self) -> Result<u64, Error> {
        let mut held = 0;
        for group in self.shards() {
            let mut after = None;
            loop {
                let page = self.blobs.versions(group.replica(), after, HELD_PAGE)?;
                let Some(last) = page.last() else { break };
                after = Some(last.version);
                held += page.len() as u64;
            }
        }
        Ok(held)
    }
}

/// How many chunks a body of so many bytes has.
pub fn chunk_count(length: u64) -> u32 {
    u32::try_from(length.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX)
}

/// The key of one of an object's chunks at this replica.
pub(super) fn key(group: &Group, object: ObjectId, index: u32) -> ChunkKey {
    ChunkKey { replica: group.replica(), version: object, index }
}

/// Whole milliseconds, saturating.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
