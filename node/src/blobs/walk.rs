//! The records of a segment, one after the other, past what is damaged.

use std::fs::File;
use std::sync::Arc;

use super::record::{HEADER_BYTES, Header, is_damage, read};
use crate::Error;

/// Read at once in search of the next header.
const SEARCH_BYTES: usize = 1024 * 1024;

#[derive(Debug)]
pub(super) enum Found {
    /// Its body is not checked.
    Record { offset: u64, header: Header },
    /// Bytes that are no record: torn by a crash, or damaged.
    Gap { from: u64, to: u64 },
}

pub(super) struct Walk {
    file: Arc<File>,
    salt: u64,
    pub(super) offset: u64,
    end: u64,
}

impl Walk {
    pub(super) fn new(file: Arc<File>, salt: u64, offset: u64, end: u64) -> Self {
        Self { file, salt, offset, end }
    }

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

    /// The record at `offset` is damaged: its length says nothing about where the next one begins.
    pub(super) fn skip(&mut self, offset: u64) -> Result<(), Error> {
        self.offset = self.search(offset + 1)?;
        Ok(())
    }

    /// The header at `offset`, if its whole record fits before the end.
    fn header_at(&self, offset: u64) -> Result<Option<Header>, Error> {
        if self.end - offset < HEADER_BYTES as u64 {
            return Ok(None);
        }
        let bytes = match read(&self.file, offset, HEADER_BYTES) {
            Err(error) if is_damage(&error) => return Ok(None),
            read => read.map_err(|error| Error::io("reading a segment", error))?,
        };
        let found = Header::decode(&bytes).filter(|(salt, _)| *salt == self.salt);
        Ok(found.map(|(_, header)| header).filter(|header| header.record_bytes() <= self.end - offset))
    }

    /// Where the next record begins, or the end.
    fn search(&self, mut from: u64) -> Result<u64, Error> {
        let salt = self.salt.to_be_bytes();
        while from + (HEADER_BYTES as u64) <= self.end {
            let length = usize::try_from(self.end - from).unwrap_or(usize::MAX).min(SEARCH_BYTES);
            let window = match read(&self.file, from, length) {
                Err(error) if is_damage(&error) => Vec::new(),
                read => read.map_err(|error| Error::io("reading a segment", error))?,
            };
            for at in (0..window.len().saturating_sub(salt.len() - 1)).filter(|at| window[*at] == salt[0]) {
                let offset = from + at as u64;
                if window[at..].starts_with(&salt) && self.header_at(offset)?.is_some() {
                    return Ok(offset);
                }
            }
            // Windows overlap, so that a header across their border is seen.
            from += (length - (salt.len() - 1).min(length - 1)) as u64;
        }
        Ok(self.end)
    }
}
