//! State that the store shares with its writer and with compaction: index, segments, queue.

use bytes::Bytes;
use rowhouse_raft::fatal::FatalLatch;

use super::index::Index;
use super::key::ChunkKey;
use super::metrics::BlobMetrics;
use super::options::BlobOptions;
use super::queue::Queue;
use super::record::{Location, read_chunk};
use super::segments::Segments;
use crate::Error;

/// One for each open store.
pub(super) struct Shared {
    pub(super) index: Index,
    pub(super) segments: Segments,
    pub(super) queue: Queue,
    pub(super) metrics: BlobMetrics,
    pub(super) options: BlobOptions,
    /// Set once writing failed.
    pub(super) fatal: FatalLatch,
}

impl Shared {
    /// The body of a chunk, checked; `None` if it is not here. Blocks.
    pub(super) fn get(&self, key: ChunkKey) -> Result<Option<Bytes>, Error> {
        let Some(at) = self.index.get(key)? else { return Ok(None) };
        let error = match self.read(key, &at) {
            Ok(body) => return Ok(Some(body)),
            Err(error) => error,
        };
        // Compaction may have moved it and unlinked the segment in between.
        match self.index.get(key)? {
            None => Ok(None),
            Some(moved) if moved != at => self.read(key, &moved).map(Some),
            Some(_) => Err(error),
        }
    }

    /// The body at a place. Blocks.
    pub(super) fn read(&self, key: ChunkKey, at: &Location) -> Result<Bytes, Error> {
        match self.segments.file(at.segment) {
            Ok(file) => read_chunk(&file, key, at),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(Error::DamagedChunk(key)),
            Err(error) => Err(Error::io("opening a segment", error)),
        }
    }
}

/// Runs what may block on a thread that is there for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)?
}
