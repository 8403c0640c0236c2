//! The layout of a chunk in a segment: a header, the body, and zeros up to the next block's border, so that no block is
//! ever written twice. A segment begins with a block for a header of its own.
//!
//! Each header repeats its segment's random salt, so that a user cannot upload bytes that recovery mistakes for a
//! record.

use std::fs::File;
use std::io;

use bytes::Bytes;
pub use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::chunks::Pieces;
use rustix::buffer::spare_capacity;
use rustix::io::pread;

use super::direct::BLOCK_BYTES;
use super::key::ChunkKey;
use crate::{Error, planted};

/// Raised when a header changes in a way an older program would misread.
pub(super) const FORMAT_VERSION: u32 = 2;
/// Length of a record's header.
pub(super) const HEADER_BYTES: usize = 64;
/// Bytes of a segment's first block that hold its header; the rest is zeros.
const SEGMENT_HEADER_BYTES: usize = 32;
/// Where a segment's first record begins.
pub(super) const FIRST_RECORD: u64 = BLOCK_BYTES as u64;
const MAGIC: [u8; 8] = *b"RHCHUNKS";

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which chunk it is.
    pub(super) key: ChunkKey,
    /// Bytes of the body, at most [`CHUNK_BYTES`].
    pub(super) length: u32,
    /// CRC32C of the body.
    pub(super) crc: u32,
    /// Unix ms.
    pub(super) written_at_ms: u64,
}

impl Header {
    /// Bytes of the whole record on disk.
    pub(super) fn record_bytes(&self) -> u64 {
        record_bytes(self.length)
    }

    /// As it lies in a segment with this salt.
    pub(super) fn encode(&self, salt: u64) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[..8].copy_from_slice(&salt.to_be_bytes());
        bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.length.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.key.replica.to_be_bytes());
        bytes[24..40].copy_from_slice(&self.key.version);
        bytes[40..44].copy_from_slice(&self.key.index.to_be_bytes());
        bytes[44..48].copy_from_slice(&self.crc.to_be_bytes());
        bytes[48..56].copy_from_slice(&self.written_at_ms.to_be_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..].copy_from_slice(&crc.to_be_bytes());
        bytes
    }

    /// The header and its segment's salt, if these bytes are a header at all.
    pub(super) fn decode(bytes: &[u8]) -> Option<(u64, Self)> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        if crc32c::crc32c(&bytes[..60]) != u32_at(bytes, 60)? || u32_at(bytes, 8)? != FORMAT_VERSION {
            return None;
        }
        let key = ChunkKey {
            replica: u64_at(bytes, 16)?,
            version: bytes[24..40].try_into().ok()?,
            index: u32_at(bytes, 40)?,
        };
        let (length, crc) = (u32_at(bytes, 12)?, u32_at(bytes, 44)?);
        let header = Self { key, length, crc, written_at_ms: u64_at(bytes, 48)? };
        (length as usize <= CHUNK_BYTES).then_some((u64_at(bytes, 0)?, header))
    }
}

/// Where a chunk lies, and what its header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Location {
    /// Number of the segment.
    pub(super) segment: u64,
    /// Where the record's header begins, in bytes from the segment's start.
    pub(super) offset: u64,
    /// Bytes of the body.
    pub(super) length: u32,
    /// CRC32C of the body.
    pub(super) crc: u32,
    /// Unix ms.
    pub(super) written_at_ms: u64,
}

impl Location {
    /// Bytes of the whole record on disk.
    pub(super) fn record_bytes(&self) -> u64 {
        record_bytes(self.length)
    }

    /// Segment and offset. Of two records of one chunk the one with the larger position counts.
    pub(super) fn position(&self) -> (u64, u64) {
        (self.segment, self.offset)
    }

    /// As the index keeps it.
    pub(super) fn encode(&self) -> [u8; 32] {
        let mut value = [0; 32];
        value[..8].copy_from_slice(&self.segment.to_be_bytes());
        value[8..16].copy_from_slice(&self.offset.to_be_bytes());
        value[16..20].copy_from_slice(&self.length.to_be_bytes());
        value[20..24].copy_from_slice(&self.crc.to_be_bytes());
        value[24..].copy_from_slice(&self.written_at_ms.to_be_bytes());
        value
    }

    /// Fails on bytes that are too few for a place.
    pub(super) fn decode(value: &[u8]) -> Result<Self, Error> {
        let decoded = || {
            Some(Self {
                segment: u64_at(value, 0)?,
                offset: u64_at(value, 8)?,
                length: u32_at(value, 16)?,
                crc: u32_at(value, 20)?,
                written_at_ms: u64_at(value, 24)?,
            })
        };
        decoded().ok_or_else(|| Error::DamagedBlobIndex("an entry is too short".to_owned()))
    }
}

/// Bytes on disk of a record whose body has `length` bytes: header, body, zeros.
pub(super) fn record_bytes(length: u32) -> u64 {
    (HEADER_BYTES as u64 + u64::from(length)).next_multiple_of(BLOCK_BYTES as u64)
}

/// The header of the segment with this number and salt.
pub(super) fn segment_header(id: u64, salt: u64) -> [u8; SEGMENT_HEADER_BYTES] {
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_be_bytes());
    bytes[12..20].copy_from_slice(&id.to_be_bytes());
    bytes[20..28].copy_from_slice(&salt.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// The salt of a segment; where its header is damaged, that of its first record. `None` if neither can be
/// read: a segment that was never finished, or a lost one.
pub(super) fn salt_of(file: &File) -> Result<Option<u64>, Error> {
    if let Some(header) = read_undamaged(file, 0, SEGMENT_HEADER_BYTES)?
        && header[..8] == MAGIC
        && u32_at(&header, 28) == Some(crc32c::crc32c(&header[..28]))
    {
        return match u32_at(&header, 8) {
            Some(FORMAT_VERSION) => Ok(u64_at(&header, 20)),
            found => Err(Error::FormatVersion {
                what: "a segment of chunks",
                found: found.unwrap_or_default(),
                known: FORMAT_VERSION,
            }),
        };
    }
    let record = read_undamaged(file, FIRST_RECORD, HEADER_BYTES)?;
    Ok(record.and_then(|record| Header::decode(&record)).map(|(salt, _)| salt))
}

/// `None` where bytes are missing or unreadable.
pub(super) fn read_undamaged(file: &File, offset: u64, length: usize) -> Result<Option<Vec<u8>>, Error> {
    match read(file, offset, length) {
        Err(error) if is_damage(&error) => Ok(None),
        read => read.map(Some).map_err(|error| Error::io("reading a segment", error)),
    }
}

/// The body at a place the index names, if it is that chunk and whole.
pub(super) fn read_chunk(file: &File, key: ChunkKey, at: &Location) -> Result<Bytes, Error> {
    let record = read_undamaged(file, at.offset, HEADER_BYTES + at.length as usize)?
        .ok_or(Error::DamagedChunk(key))?;
    let (header, body) = record.split_at(HEADER_BYTES);
    let expected = Header { key, length: at.length, crc: at.crc, written_at_ms: at.written_at_ms };
    let whole = Header::decode(header).is_some_and(|(_, header)| header == expected)
        && (planted::skip_checksum() || crc32c::crc32c(body) == at.crc);
    if !whole {
        return Err(Error::DamagedChunk(key));
    }
    Ok(Bytes::from(record).slice(HEADER_BYTES..))
}

/// CRC32C of a body.
pub fn checksum(body: &Pieces) -> u32 {
    body.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece))
}

fn read(file: &File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    // Zeroing it first would be a third of the time that reading a chunk takes.
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let from = offset + bytes.len() as u64;
        match pread(file, spare_capacity(&mut bytes), from).map_err(io::Error::from) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            Ok(_) | Err(_) => {}
        }
    }
    // There may have been more room.
    bytes.truncate(length);
    Ok(bytes)
}

/// Bytes that are gone, or a sector that cannot be read: other replicas have the chunk.
fn is_damage(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
        || error.raw_os_error() == Some(nix::errno::Errno::EIO as i32)
}

/// The big-endian number at `at`, `None` if the bytes end before.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// The big-endian number at `at`, `None` if the bytes end before.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}
