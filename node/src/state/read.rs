//! Reading rows, alike over a committed view and over a command's transaction.

use std::ops::ControlFlow;

use bytes::{BufMut, Bytes, BytesMut};
use prost::Message;
use rowhouse_raft::Error;
use rowhouse_raft::codec::decode_whole;
use rowhouse_raft::state::{ScanOrder, Txn, View};

/// First byte of every value: what the rest is. Another number is a format this program does not know.
const VALUE_VERSION: u8 = 2;

/// Sees key and value, and says whether to go on.
pub type Visit<'v> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'v;

/// Rows as a view or a transaction shows them. Keys are those of `tables`.
pub trait Read {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits `from <= key < to` in ascending order until the visitor breaks.
    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error>;
}

impl Read for View<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        View::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        View::scan(self, from, to, ScanOrder::Ascending, visit)
    }
}

impl Read for Txn<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Txn::get(self, key)
    }

    fn scan(&self, from: &[u8], to: &[u8], visit: &mut Visit<'_>) -> Result<(), Error> {
        Txn::scan(self, from, to, visit)
    }
}

/// The row under `key`, if there is one.
pub(crate) fn load<T: Message + Default>(
    read: &dyn Read,
    key: &[u8],
    what: &'static str,
) -> Result<Option<T>, Error> {
    read.get(key)?.map(|value| decode(&value, what)).transpose()
}

/// The only place where stored messages are decoded, beside `stored_event.rs`. One with fields this program does not know is refused: a
/// rewrite would drop them.
pub(crate) fn decode<T: Message + Default>(value: &[u8], what: &'static str) -> Result<T, Error> {
    decode_whole(what, unwrap(value, what)?)
}

/// The message with its version byte, as it is stored.
pub(crate) fn encode(record: &impl Message) -> Bytes {
    let mut value = BytesMut::with_capacity(1 + record.encoded_len());
    value.put_u8(VALUE_VERSION);
    value.put_slice(&record.encode_to_vec());
    value.freeze()
}

/// Puts the version byte before a value that is not a message.
pub(crate) fn wrap_raw(raw: &[u8]) -> Bytes {
    let mut value = BytesMut::with_capacity(1 + raw.len());
    value.put_u8(VALUE_VERSION);
    value.put_slice(raw);
    value.freeze()
}

/// Takes it off again without copying.
pub(crate) fn unwrap_raw(value: &Bytes, what: &'static str) -> Result<Bytes, Error> {
    unwrap(value, what)?;
    Ok(value.slice(1..))
}

/// The value without its version byte.
pub(super) fn unwrap<'v>(value: &'v [u8], what: &'static str) -> Result<&'v [u8], Error> {
    match value.split_first() {
        Some((&VALUE_VERSION, rest)) => Ok(rest),
        Some((&found, _)) => Err(Error::Version { what, found: found.into(), known: VALUE_VERSION.into() }),
        None => Err(Error::corrupt(what, "empty value")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::state::Usage;

    #[test]
    fn values_carry_their_version() {
        let usage = Usage { bytes: 300, files: 1, removed_ms: 0 };
        let value = encode(&usage);
        assert_eq!(value[0], VALUE_VERSION);
        assert_eq!(decode::<Usage>(&value, "usage").expect("just encoded"), usage);
        let mut newer = value.to_vec();
        newer[0] = 9;
        assert!(matches!(decode::<Usage>(&newer, "usage"), Err(Error::Version { found: 9, .. })));
        assert!(matches!(decode::<Usage>(&[], "usage"), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_field_this_program_does_not_know_is_refused() {
        let mut value = encode(&Usage { bytes: 300, files: 1, removed_ms: 0 }).to_vec();
        // Number 2047, a varint.
        value.extend_from_slice(&[0xf8, 0x7f, 1]);
        assert!(matches!(decode::<Usage>(&value, "usage"), Err(Error::UnknownFields { what: "usage" })));
    }

    #[test]
    fn raw_values_round_trip() {
        let value = wrap_raw(b"body");
        assert_eq!(unwrap_raw(&value, "body").expect("just wrapped"), Bytes::from_static(b"body"));
        assert_eq!(unwrap_raw(&wrap_raw(b""), "body").expect("just wrapped"), Bytes::new());
    }
}
