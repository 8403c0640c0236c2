//! Checksums of the blocks of chunks that parts were read of. A chunk has one checksum on disk, over all of it. So the
//! first part costs reading and checking the whole chunk, and what is learned then lets later parts be checked block by
//! block. Bounded, and lost when the store is closed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::key::ChunkKey;
use super::record::Location;

/// Read and checked at once: little beside a call of the node, and many enough for a megabyte not to need a long list.
pub(super) const BLOCK_BYTES: usize = 16 * 1024;
/// Places, each for one chunk: those of 8 GiB, in some 3 MiB of memory.
const PLACES: usize = 8192;

/// The checksums of one chunk.
pub(super) struct ChunkSums {
    key: ChunkKey,
    /// With these two they are those of the body that the index names, wherever it lies.
    length: u32,
    crc: u32,
    /// CRC32C of each block; the last block may be shorter.
    pub(super) blocks: Box<[u32]>,
}

/// Those of the chunks that came last to their place.
pub(super) struct Sums {
    places: Box<[ArcSwapOption<ChunkSums>]>,
}

impl Sums {
    /// Knows none.
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| ArcSwapOption::empty()).collect() }
    }

    /// Those of the body that the index names by `at`.
    pub(super) fn of(&self, key: ChunkKey, at: &Location) -> Option<Arc<ChunkSums>> {
        let known = self.place(key).load_full()?;
        (known.key == key && known.length == at.length && known.crc == at.crc).then_some(known)
    }

    /// Remembers those of a body that was just found to be the one that `at` names.
    pub(super) fn learn(&self, key: ChunkKey, at: &Location, body: &[u8]) {
        let blocks = body.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect();
        let known = ChunkSums { key, length: at.length, crc: at.crc, blocks };
        self.place(key).store(Some(Arc::new(known)));
    }

    /// Versions are random, and the chunks of one take places in a row.
    fn place(&self, key: ChunkKey) -> &ArcSwapOption<ChunkSums> {
        let [a, b, ..] = key.version;
        let at = usize::from(u16::from_be_bytes([a, b])).wrapping_add(key.index as usize);
        &self.places[at % PLACES]
    }
}
