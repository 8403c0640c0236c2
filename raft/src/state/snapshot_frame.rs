//! How a snapshot travels: frames of whole records, then one that says how many and their hash.
//!
//! A frame is `kind (1) | crc32c of the rest (4) | body`. A records body is `length once unpacked (4) |
//! zstd of [key length (4) | value length (4) | key | value]…`; the end body is `records (8) | blake3
//! of all unpacked bodies (32)`. Numbers are big endian.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::engine::StateRecord;
use crate::error::Error;

/// Unpacked bytes after which a frame is closed: large enough to compress, small enough to buffer.
pub(super) const FRAME_BYTES: usize = 1 << 20;
/// A frame ends with a whole record, so the largest record counts on top. Commands are far smaller.
const FRAME_BYTES_MAX: usize = FRAME_BYTES + (32 << 20);
/// Fast: the network or the disk is slower.
const COMPRESSION_LEVEL: i32 = 1;
const KIND_RECORDS: u8 = 1;
const KIND_END: u8 = 2;
const HEAD_BYTES: usize = 5;
const RECORD_HEAD_BYTES: usize = 8;
const END_BYTES: usize = 40;
const WHAT: &str = "a snapshot frame";

/// Content of a frame.
pub(super) enum Frame {
    Records { records: Vec<StateRecord>, unpacked: Bytes },
    End { count: u64, hash: [u8; 32] },
}

/// Running count and hash of records, on either side.
#[derive(Default)]
pub(super) struct Tally {
    count: u64,
    hasher: blake3::Hasher,
}

impl Tally {
    /// Counts a frame of `records` records, whose plain bytes are `unpacked`.
    pub fn add(&mut self, records: usize, unpacked: &[u8]) {
        self.count += records as u64;
        self.hasher.update(unpacked);
    }

    /// The last frame, which tells the totals.
    pub fn end_frame(&self) -> Bytes {
        let mut body = BytesMut::with_capacity(END_BYTES);
        body.put_u64(self.count);
        body.put_slice(self.hasher.finalize().as_bytes());
        frame(KIND_END, &body)
    }

    /// Whether these are the totals so far.
    pub fn matches(&self, count: u64, hash: [u8; 32]) -> bool {
        self.count == count && self.hasher.finalize() == hash
    }
}

/// The frame of `records`, added to `tally`.
pub(super) fn encode_records(records: &[StateRecord], tally: &mut Tally) -> Result<Bytes, Error> {
    let size = records.iter().map(|(key, value)| RECORD_HEAD_BYTES + key.len() + value.len()).sum();
    let mut unpacked = BytesMut::with_capacity(size);
    for (key, value) in records {
        unpacked.put_u32(key.len() as u32);
        unpacked.put_u32(value.len() as u32);
        unpacked.put_slice(key);
        unpacked.put_slice(value);
    }
    if size > FRAME_BYTES_MAX {
        return Err(Error::corrupt(WHAT, format_args!("{size} bytes of records do not fit one")));
    }
    tally.add(records.len(), &unpacked);
    let packed = zstd::bulk::compress(&unpacked, COMPRESSION_LEVEL)
        .map_err(|source| Error::io("compress a snapshot", source))?;
    let mut body = BytesMut::with_capacity(4 + packed.len());
    body.put_u32(size as u32);
    body.put_slice(&packed);
    Ok(frame(KIND_RECORDS, &body))
}

pub(super) fn decode(frame: &Bytes) -> Result<Frame, Error> {
    let Some((&[kind, a, b, c, d], body)) = frame.split_first_chunk::<HEAD_BYTES>() else {
        return Err(Error::corrupt(WHAT, "it has no head"));
    };
    if crc32c::crc32c(body) != u32::from_be_bytes([a, b, c, d]) {
        return Err(Error::corrupt(WHAT, "its checksum does not match"));
    }
    match kind {
        KIND_RECORDS => decode_records(body),
        KIND_END => {
            let body: &[u8; END_BYTES] = body.try_into().map_err(|_| Error::corrupt(WHAT, "a short end"))?;
            let mut rest: &[u8] = body;
            let count = rest.get_u64();
            let mut hash = [0; 32];
            rest.copy_to_slice(&mut hash);
            Ok(Frame::End { count, hash })
        }
        other => Err(Error::corrupt(WHAT, format_args!("kind {other} is unknown"))),
    }
}

fn decode_records(body: &[u8]) -> Result<Frame, Error> {
    let Some((size, packed)) = body.split_first_chunk::<4>() else {
        return Err(Error::corrupt(WHAT, "it has no length"));
    };
    let size = u32::from_be_bytes(*size) as usize;
    if size > FRAME_BYTES_MAX {
        return Err(Error::corrupt(WHAT, format_args!("{size} bytes are more than a frame holds")));
    }
    let unpacked = zstd::bulk::decompress(packed, size).map_err(|error| Error::corrupt(WHAT, error))?;
    let unpacked = Bytes::from(unpacked);
    let mut rest = unpacked.clone();
    let mut records = Vec::new();
    while !rest.is_empty() {
        if rest.len() < RECORD_HEAD_BYTES {
            return Err(Error::corrupt(WHAT, "a record is cut off"));
        }
        let (key, value) = (rest.get_u32() as usize, rest.get_u32() as usize);
        if rest.len() < key.saturating_add(value) {
            return Err(Error::corrupt(WHAT, "a record is cut off"));
        }
        records.push((rest.split_to(key), rest.split_to(value)));
    }
    Ok(Frame::Records { records, unpacked })
}

fn frame(kind: u8, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD_BYTES + body.len());
    frame.put_u8(kind);
    frame.put_u32(crc32c::crc32c(body));
    frame.put_slice(body);
    frame.freeze()
}
