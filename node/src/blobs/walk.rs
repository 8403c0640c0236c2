//! The records of a segment, one after the other, past what is damaged.

use std::fs::File;
use std::sync::Arc;

use super::direct::BLOCK_BYTES;
use super::record::{HEADER_BYTES, Header, read_undamaged};
use crate::Error;

/// A step of the walk.
#[derive(Debug)]
pub(super) enum Found {
    /// A record. Its body is not checked.
    Record { offset: u64, header: Header },
    /// Bytes that are no record: torn by a crash, or damaged.
    Gap { from: u64, to: u64 },
}

/// Goes through one segment, record by record.
pub(super) struct Walk {
    file: Arc<File>,
    salt: u64,
    /// Where the next step begins.
    pub(super) offset: u64,
    end: u64,
}

impl Walk {
    /// From `offset` to `end`. `salt` is that of the segment.
    pub(super) fn new(file: Arc<File>, salt: u64, offset: u64, end: u64) -> Self {
        Self { file, salt, offset, end }
    }

    /// The next record or gap, `None` at the end. Fails if the file cannot be read.
    pub(super) fn step(&mut self) -> Result<Option<Found>, Error> {
        let offset = self.offset;
        if offset >= self.end {
            return Ok(None);
        }
        if let Some(header) = self.header_at(offset)? {
            self.offset += header.record_bytes();
            return Ok(Some(Found::Record { offset, header }));
        }
        self.skip(offset)?;
        Ok(Some(Found::Gap { from: offset, to: self.offset }))
    }

    /// Goes on at the next header behind `offset`, block by block: the record there is damaged, so its length says
    /// nothing about where the next one begins.
    pub(super) fn skip(&mut self, offset: u64) -> Result<(), Error> {
        let block = BLOCK_BYTES as u64;
        let mut next = (offset + 1).next_multiple_of(block);
        while next < self.end && self.header_at(next)?.is_none() {
            next += block;
        }
        self.offset = next.min(self.end);
        Ok(())
    }

    /// The header at `offset`, if its whole record fits before the end.
    fn header_at(&self, offset: u64) -> Result<Option<Header>, Error> {
        if self.end - offset < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let bytes = read_undamaged(&self.file, offset, HEADER_BYTES)?;
        let found = bytes.and_then(|bytes| Header::decode(&bytes)).filter(|(salt, _)| *salt == self.salt);
        Ok(found.map(|(_, header)| header).filter(|header| header.record_bytes() <= self.end - offset))
    }
}
