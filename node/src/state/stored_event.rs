//! An event's row read in place: pages have a thousand, and a page may pass over thousands more.

use prost::encoding::decode_varint;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_raft::Error;

use super::read::unwrap;

const WHAT: &str = "event";
/// Fields of `state.Event`; all are of the wire type 2, length-delimited.
const USER: u64 = 1 << 3 | 2;
const PATH: u64 = 2 << 3 | 2;
const HASH: u64 = 3 << 3 | 2;

/// As `state.Event`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct StoredEvent<'v> {
    pub user: &'v UserKey,
    pub path: &'v str,
    /// Empty: DEL.
    pub hash: &'v [u8],
}

impl<'v> StoredEvent<'v> {
    /// Fails on a version or field that this program does not know.
    pub fn read(value: &'v [u8]) -> Result<Self, Error> {
        let mut rest = unwrap(value, WHAT)?;
        let (mut user, mut path, mut hash) = (&[][..], &[][..], &[][..]);
        while !rest.is_empty() {
            let (field, bytes) = field(&mut rest).ok_or_else(malformed)?;
            match field {
                USER => user = bytes,
                PATH => path = bytes,
                HASH => hash = bytes,
                _ => return Err(Error::UnknownFields { what: WHAT }),
            }
        }
        let user = user.try_into().map_err(|_| malformed())?;
        let path = std::str::from_utf8(path).ok().filter(|path| !path.is_empty()).ok_or_else(malformed)?;
        Ok(Self { user, path, hash })
    }
}

/// The next field, with its bytes.
fn field<'v>(rest: &mut &'v [u8]) -> Option<(u64, &'v [u8])> {
    let field = decode_varint(rest).ok()?;
    let len = usize::try_from(decode_varint(rest).ok()?).ok()?;
    let (bytes, behind) = rest.split_at_checked(len)?;
    *rest = behind;
    Some((field, bytes))
}

fn malformed() -> Error {
    Error::corrupt(WHAT, "no whole event")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::records::encode;
    use prost::Message;
    use rowhouse_proto::wire::state::Event;

    fn event(hash: &[u8]) -> Event {
        let path = format!("/pub/{}é", "x".repeat(300));
        Event { user: vec![7; 32].into(), path, hash: hash.to_vec().into() }
    }

    #[test]
    fn a_row_reads_as_its_message() {
        for event in [event(&[9; 32]), event(&[])] {
            let value = encode(&event);
            let row = StoredEvent::read(&value).expect("just encoded");
            let seen = Event {
                user: row.user.to_vec().into(),
                path: row.path.to_owned(),
                hash: row.hash.to_vec().into(),
            };
            assert_eq!(seen, event);
        }
    }

    #[test]
    fn cut_rows_and_rows_of_the_future_are_refused() {
        let value = encode(&event(&[9; 32]));
        // The hash stands last: a row without it is a DEL's.
        let without_hash = value.len() - 34;
        for end in (0..value.len()).filter(|end| *end != without_hash) {
            assert!(StoredEvent::read(&value[..end]).is_err(), "{end}");
        }
        let mut newer = value.to_vec();
        newer.extend_from_slice(&[4 << 3 | 2, 1, 0]);
        assert!(StoredEvent::read(&newer).is_err());
        let mut newer = value.to_vec();
        newer[0] += 1;
        assert!(StoredEvent::read(&newer).is_err());
        let short = Event { user: vec![7; 31].into(), ..Event::default() };
        assert!(StoredEvent::read(&[&value[..1], &short.encode_to_vec()].concat()).is_err());
    }
}
