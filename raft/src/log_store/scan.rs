//! Searches in the log database: the last record of a replica, and the records of one kind.

use std::collections::BTreeMap;

use bytes::Bytes;
use rocksdb::{DB, ReadOptions};

use super::engine::MetaKind;
use super::keys;
use super::options::failed;
use super::replica::{ReplicaPhase, ReplicaRecord, TOMBSTONE_FLOOR};
use crate::ReplicaId;
use crate::codec;
use crate::error::Error;

const WHAT: &str = "the Raft log";

/// Index of the last record of `replica`.
pub(super) fn last_index(db: &DB, replica: ReplicaId) -> Result<Option<u64>, Error> {
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(keys::entry(replica, 0));
    let mut cursor = db.raw_iterator_opt(options);
    cursor.seek_for_prev(keys::entry(replica, u64::MAX));
    let last = cursor.key().and_then(keys::parse_entry).map(|(_, index)| index);
    cursor.status().map_err(|error| failed("reading the Raft log", error))?;
    Ok(last)
}

/// Every replica's record of one kind.
pub(super) fn metas(db: &DB, wanted: MetaKind) -> Result<Vec<(ReplicaId, Bytes)>, Error> {
    let (first, end) = keys::META_RANGE;
    let mut options = ReadOptions::default();
    options.set_iterate_lower_bound(first);
    options.set_iterate_upper_bound(end);
    let mut cursor = db.raw_iterator_opt(options);
    cursor.seek_to_first();
    let mut found = Vec::new();
    while let Some((key, value)) = cursor.item() {
        let (replica, kind) =
            keys::parse_meta(key).ok_or_else(|| Error::corrupt(WHAT, "a key of no meta"))?;
        if kind == wanted as u8 {
            found.push((replica, Bytes::copy_from_slice(value)));
        }
        cursor.next();
    }
    cursor.status().map_err(|error| failed("reading the Raft log", error))?;
    Ok(found)
}

/// Up to where each replica's records may go, as recovery found it.
pub(super) fn recorded_floors(db: &DB) -> Result<BTreeMap<ReplicaId, u64>, Error> {
    let mut floors = BTreeMap::new();
    for (replica, value) in metas(db, MetaKind::LastPurged)? {
        let purged: rowhouse_proto::wire::raft::LogId = codec::open("a LastPurged record", value)?;
        floors.insert(replica, purged.index);
    }
    for (replica, value) in metas(db, MetaKind::ReplicaState)? {
        if ReplicaRecord::decode(&value)?.phase == ReplicaPhase::Tombstone {
            floors.insert(replica, TOMBSTONE_FLOOR);
        }
    }
    Ok(floors)
}
