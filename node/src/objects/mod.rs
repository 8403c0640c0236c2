//! Bodies outside the log on this node: kept complete and intact as long as the log says, and not longer
//! (docs/rules/storage.md#chunks-follow-rows). The rows of `state::objects` decide; everything here follows them.

mod collect;
mod erase;
mod fetch;
mod fill;
mod progress;
mod rate;
mod scrub;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::meta::ObjectStatus;
use rowhouse_raft::Host;

pub use collect::collect;
pub use erase::erase;
pub use fill::fill;
pub use progress::{Damage, Progress};
pub use scrub::scrub;
pub use sweep::sweep;

use crate::blobs::{BlobStore, ChunkKey, HeldVersion, VersionId};
use crate::clock::Clock;
use crate::peers::{Addresses, ClusterView, Pool};
use crate::settings::ObjectLimits;
use crate::space::Space;
use crate::state::objects::ObjectId;
use crate::{Error, Group, Runtime, meta};

/// Objects read from the index at once.
const HELD_PAGE: usize = 256;

/// What the keepers of objects share.
pub struct Objects {
    pub host: Arc<Host<Runtime>>,
    pub blobs: Arc<BlobStore>,
    pub clock: Arc<Clock>,
    pub space: Arc<Space>,
    pub addresses: Arc<Addresses>,
    pub pool: Arc<Pool>,
    pub progress: Arc<Progress>,
    pub limits: ObjectLimits,
    pub view: ClusterView,
}

impl Objects {
    fn shards(&self) -> Vec<Arc<Group>> {
        self.host.groups().into_iter().filter(|group| group.id() != meta::GROUP).collect()
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
    async fn held_page(&self, group: &Group, after: Option<VersionId>) -> Result<Vec<HeldVersion>, Error> {
        let (blobs, replica) = (Arc::clone(&self.blobs), group.replica());
        tokio::task::spawn_blocking(move || blobs.versions(replica, after, HELD_PAGE))
            .await
            .map_err(|_| Error::Stopped)?
    }

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

fn key(group: &Group, object: ObjectId, index: u32) -> ChunkKey {
    ChunkKey { replica: group.replica(), version: object, index }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
