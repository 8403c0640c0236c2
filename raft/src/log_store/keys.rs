//! Key layout of the log database: one column family, tables told apart by the first byte
//! (docs/rules/storage.md#one-log-for-all-groups).

use super::engine::MetaKind;
use crate::ReplicaId;

const ENTRY: u8 = 0x01;
const META: u8 = 0x02;
const NODE: u8 = 0x03;

/// `0x01 | replica | index`
pub(super) const ENTRY_KEY_BYTES: usize = 17;
/// `0x02 | replica | kind`
const META_KEY_BYTES: usize = 10;

pub(super) fn entry(replica: ReplicaId, index: u64) -> [u8; ENTRY_KEY_BYTES] {
    let mut key = [ENTRY; ENTRY_KEY_BYTES];
    key[1..9].copy_from_slice(&replica.to_be_bytes());
    key[9..].copy_from_slice(&index.to_be_bytes());
    key
}

pub(super) fn meta(replica: ReplicaId, kind: MetaKind) -> [u8; META_KEY_BYTES] {
    let mut key = [META; META_KEY_BYTES];
    key[1..9].copy_from_slice(&replica.to_be_bytes());
    key[9] = kind as u8;
    key
}

pub(super) fn node(name: &str) -> Vec<u8> {
    let mut key = vec![NODE];
    key.extend_from_slice(name.as_bytes());
    key
}

/// First key of the meta table, and the first one behind it.
pub(super) const META_RANGE: ([u8; 1], [u8; 1]) = ([META], [META + 1]);

pub(super) fn parse_entry(key: &[u8]) -> Option<(ReplicaId, u64)> {
    let key: &[u8; ENTRY_KEY_BYTES] = key.try_into().ok()?;
    (key[0] == ENTRY).then(|| (be_u64(&key[1..9]), be_u64(&key[9..])))
}

/// The replica and the number of the kind.
pub(super) fn parse_meta(key: &[u8]) -> Option<(ReplicaId, u8)> {
    let key: &[u8; META_KEY_BYTES] = key.try_into().ok()?;
    (key[0] == META).then(|| (be_u64(&key[1..9]), key[9]))
}

fn be_u64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |value, byte| value << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_keys_sort_by_replica_then_index() {
        let keys = [entry(1, 0), entry(1, 255), entry(1, 256), entry(1, u64::MAX), entry(2, 0)];
        assert!(keys.is_sorted());
        assert!(keys[4].as_slice() < META_RANGE.0.as_slice());
    }

    #[test]
    fn keys_parse_back() {
        assert_eq!(parse_entry(&entry(7, u64::MAX - 1)), Some((7, u64::MAX - 1)));
        assert_eq!(parse_meta(&meta(u64::MAX, MetaKind::Committed)), Some((u64::MAX, 3)));
        assert_eq!(parse_entry(&node("an entry's length")[..17]), None);
        assert_eq!(parse_meta(&entry(1, 1)), None);
    }
}
