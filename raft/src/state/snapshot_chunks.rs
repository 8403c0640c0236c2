//! `SnapshotChunks`: a snapshot cut into frames, each of which can be made once more while it is recent.

use std::collections::VecDeque;

use bytes::Bytes;

use super::snapshot_data::{SnapshotData, Source};
use super::snapshot_frame::{self as frame, Tally};
use crate::error::Error;

/// Chunks of which it is known where they begin: many more than are ever between a sender and what its receiver has.
const REPEATABLE_MAX: usize = 1024;

/// Frames of at most a few MiB, each made when asked for. Blocks on the disk.
pub struct SnapshotChunks {
    source: Source,
    tally: Tally,
    /// Number of the chunk that the source is before.
    next: u64,
    /// Chunks in the tally.
    counted: u64,
    /// First keys of the newest chunks counted.
    begins: VecDeque<Bytes>,
    /// Number of the last chunk, the end frame, once it was made.
    end: Option<u64>,
}

impl SnapshotData {
    /// Frames to send, in order.
    pub fn into_chunks(self) -> SnapshotChunks {
        let (tally, begins) = (Tally::default(), VecDeque::new());
        SnapshotChunks { source: self.0, tally, next: 0, counted: 0, begins, end: None }
    }
}

impl SnapshotChunks {
    /// The next chunk, `None` at the end. Blocks on the disk.
    #[allow(clippy::should_implement_trait, reason = "it fails, and stops at the first failure")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        self.chunk(self.end.map_or(self.next, |end| end + 1))
    }

    /// Chunk `number`, `None` behind the last: the next one, or one of the newest that were made before, which then is
    /// the same. Fails for one that is too far back. Blocks on the disk.
    pub fn chunk(&mut self, number: u64) -> Result<Option<Bytes>, Error> {
        if let Some(end) = self.end.filter(|end| number >= *end) {
            return Ok((number == end).then(|| self.tally.end_frame()));
        }
        if number != self.next {
            self.go_to(number)?;
        }
        let records = self.source.page()?;
        let Some((key, _)) = records.first() else {
            self.end = Some(number);
            return Ok(Some(self.tally.end_frame()));
        };
        self.next += 1;
        if number < self.counted {
            return frame::encode_records(&records, &mut Tally::default()).map(Some);
        }
        self.begins.push_back(key.clone());
        if self.begins.len() > REPEATABLE_MAX {
            self.begins.pop_front();
        }
        self.counted += 1;
        frame::encode_records(&records, &mut self.tally).map(Some)
    }

    /// Chunks made so far, however often.
    pub fn made(&self) -> u64 {
        self.counted
    }

    fn go_to(&mut self, number: u64) -> Result<(), Error> {
        let oldest = self.counted - self.begins.len() as u64;
        let begin = number.checked_sub(oldest).and_then(|at| self.begins.get(usize::try_from(at).ok()?));
        let begin = begin.ok_or_else(|| {
            Error::corrupt(
                "a snapshot",
                format_args!("chunk {number} is not between {oldest} and {}", self.counted),
            )
        })?;
        self.source.seek(begin)?;
        self.next = number;
        Ok(())
    }
}
