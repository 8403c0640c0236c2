//! State that the store shares with its writer and with compaction: index, segments, queue.

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use rowhouse_raft::fatal::FatalLatch;

use super::index::Index;
use super::key::ChunkKey;
use super::metrics::BlobMetrics;
use super::options::BlobOptions;
use super::queue::Queue;
use super::record::{Location, read_chunk};
use super::segments::Segments;
use super::sums::Sums;
use crate::Error;

/// One for each open store.
pub(super) struct Shared {
    pub(super) index: Index,
    pub(super) segments: Segments,
    pub(super) sums: Sums,
    pub(super) queue: Queue,
    pub(super) metrics: BlobMetrics,
    pub(super) options: BlobOptions,
    /// Set once writing failed.
    pub(super) fatal: FatalLatch,
}

impl Shared {
    /// The body of a chunk, checked; `None` if it is not here. Blocks.
    pub(super) fn get(&self, key: ChunkKey) -> Result<Option<Bytes>, Error> {
        self.at_its_place(key, |at| self.read(key, at))
    }

    /// Reads a chunk where the index says it lies; `None` if it is not here.
    pub(super) fn at_its_place(
        &self,
        key: ChunkKey,
        read: impl Fn(&Location) -> Result<Bytes, Error>,
    ) -> Result<Option<Bytes>, Error> {
        let Some(at) = self.index.get(key)? else { return Ok(None) };
        let error = match read(&at) {
            Ok(body) => return Ok(Some(body)),
            Err(error) => error,
        };
        // Compaction may have moved it and unlinked the segment in between.
        match self.index.get(key)? {
            None => Ok(None),
            Some(moved) if moved != at => read(&moved).map(Some),
            Some(_) => Err(error),
        }
    }

    /// The body at a place. Blocks.
    pub(super) fn read(&self, key: ChunkKey, at: &Location) -> Result<Bytes, Error> {
        let file = self.segment_of(key, at)?;
        read_chunk(&file, key, at)
    }

    /// The segment that a chunk lies in; damage if it is gone.
    pub(super) fn segment_of(&self, key: ChunkKey, at: &Location) -> Result<Arc<File>, Error> {
        self.segments.file(at.segment).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::DamagedChunk(key),
            _ => Error::io("opening a segment", error),
        })
    }
}

/// Runs what may block on a thread that is there for it.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Error::Stopped)?
}
