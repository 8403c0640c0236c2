//! `EventRow`: an event in a page of the feed over all shards. A page is thousands of small events, so that they travel
//! as one run of bytes: nodes append what they have stored, and gateways read it in place.
//!
//! A row is `id` (8 bytes, big endian), `user` (32), `hash_len` (1: 0 or 32), `hash`, `path_len` (4, big endian), `path`.

use bytes::{Buf, BufMut, Bytes};

use crate::domain::user::UserKey;
use crate::wire::shard::EventRecord;

const USER_AT: usize = 8;
const HASH_LEN_AT: usize = USER_AT + 32;
const HASH_AT: usize = HASH_LEN_AT + 1;
/// Bytes of a row that has neither a hash nor a path.
const ROW_BYTES_MIN: usize = HASH_AT + 4;

/// Bytes that are no row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// One event, in the bytes it came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    bytes: Bytes,
    path_at: usize,
}

impl EventRow {
    /// Appends an event to `rows`. `hash` is BLAKE3 of the content; empty for DEL.
    ///
    /// `Malformed`: the hash or the path has a length that no event has. `rows` is as it was.
    pub fn push(
        rows: &mut Vec<u8>,
        id: u64,
        user: &UserKey,
        hash: &[u8],
        path: &[u8],
    ) -> Result<(), Malformed> {
        let path_len = u32::try_from(path.len()).map_err(|_| Malformed)?;
        let hash_len =
            if hash.is_empty() || hash.len() == 32 { hash.len() as u8 } else { return Err(Malformed) };
        rows.reserve(ROW_BYTES_MIN + hash.len() + path.len());
        rows.put_u64(id);
        rows.put_slice(user);
        rows.put_u8(hash_len);
        rows.put_slice(hash);
        rows.put_u32(path_len);
        rows.put_slice(path);
        Ok(())
    }

    /// Takes the first of `rows` off, without copying; `None` behind the last.
    pub fn take(rows: &mut Bytes) -> Option<Result<Self, Malformed>> {
        (!rows.is_empty()).then(|| Self::first(rows))
    }

    fn first(rows: &mut Bytes) -> Result<Self, Malformed> {
        let hash_len = match rows.get(HASH_LEN_AT) {
            Some(len @ (0 | 32)) => usize::from(*len),
            _ => return Err(Malformed),
        };
        let path_at = ROW_BYTES_MIN + hash_len;
        let mut path_len = rows.get(path_at - 4..path_at).ok_or(Malformed)?;
        let end = path_at.saturating_add(path_len.get_u32() as usize);
        if end > rows.len() {
            return Err(Malformed);
        }
        Ok(Self { bytes: rows.split_to(end), path_at })
    }

    /// As in `EventRecord`.
    pub fn id(&self) -> u64 {
        (&self.bytes[..]).get_u64()
    }

    /// The user's public key.
    pub fn user(&self) -> &[u8] {
        &self.bytes[USER_AT..HASH_LEN_AT]
    }

    /// Whether it is a DEL.
    pub fn is_deleted(&self) -> bool {
        self.bytes[HASH_LEN_AT] == 0
    }

    /// The path, which is UTF-8 if the node told the truth.
    pub fn path(&self) -> &[u8] {
        &self.bytes[self.path_at..]
    }

    /// The same event for those who keep few. `Malformed`: its path is no text.
    pub fn to_record(&self) -> Result<EventRecord, Malformed> {
        Ok(EventRecord {
            id: self.id(),
            deleted: self.is_deleted(),
            user: self.bytes.slice(USER_AT..HASH_LEN_AT),
            path: std::str::from_utf8(self.path()).map_err(|_| Malformed)?.to_owned(),
            hash: self.bytes.slice(HASH_AT..self.path_at - 4),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<u8> {
        let mut rows = Vec::new();
        EventRow::push(&mut rows, 1 << 52, &[7; 32], &[9; 32], "/pub/é".as_bytes()).expect("an event");
        EventRow::push(&mut rows, 3, &[8; 32], &[], b"").expect("an event");
        rows
    }

    #[test]
    fn rows_come_back_as_they_were_pushed() {
        let mut rows = Bytes::from(rows());
        let put = EventRow::take(&mut rows).expect("one").expect("a row");
        let delete = EventRow::take(&mut rows).expect("another").expect("a row");
        assert_eq!(EventRow::take(&mut rows), None);
        assert_eq!((put.id(), put.user(), put.is_deleted()), (1 << 52, &[7; 32][..], false));
        assert_eq!((delete.id(), delete.user(), delete.is_deleted()), (3, &[8; 32][..], true));
        let record = put.to_record().expect("text");
        assert_eq!((record.path.as_str(), &record.hash[..], record.deleted), ("/pub/é", &[9; 32][..], false));
        assert_eq!((delete.path(), delete.to_record().expect("text").hash.len()), (&b""[..], 0));
    }

    #[test]
    fn cut_and_false_bytes_are_no_rows() {
        let whole = rows();
        for end in 1..whole.len() {
            let mut cut = Bytes::copy_from_slice(&whole[..end]);
            let taken: Vec<_> = std::iter::from_fn(|| EventRow::take(&mut cut)).take(3).collect();
            let is_between = taken == [EventRow::take(&mut Bytes::from(whole.clone())).expect("one")];
            assert!(is_between || taken.contains(&Err(Malformed)), "{end}: {taken:?}");
        }
        assert_eq!(EventRow::push(&mut Vec::new(), 1, &[0; 32], &[1; 31], b"/"), Err(Malformed));
        let mut row = Vec::new();
        EventRow::push(&mut row, 1, &[0; 32], &[], &[0xFF]).expect("it does not look");
        row[HASH_LEN_AT] = 31;
        assert_eq!(EventRow::take(&mut Bytes::from(row.clone())), Some(Err(Malformed)));
        row[HASH_LEN_AT] = 0;
        let row = EventRow::take(&mut Bytes::from(row)).expect("one").expect("a row");
        assert_eq!(row.to_record(), Err(Malformed));
    }
}
