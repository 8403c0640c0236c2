//! `Applied`: how far a group's state machine is, as log position, membership and the chained hash.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use rowhouse_proto::wire::raft as wire;

use crate::codec::{self, LogId, StoredMembership};
use crate::error::Error;

/// Key of the Applied record within a group: table 0, which no machine may write. It sorts first, so
/// that a snapshot begins with it.
pub(super) const APPLIED_KEY: &[u8] = &[0];
const WHAT: &str = "an Applied record";

/// How far a group's state machine is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Last entry applied.
    pub log_id: Option<LogId>,
    /// Last membership applied.
    pub membership: Arc<StoredMembership>,
    /// Chained over index and writes of every applied entry: equal on every replica at one `log_id`.
    pub state_hash: [u8; 32],
    /// Index of the last `StateCheck`; 0: none yet.
    pub checked: u64,
    /// `state_hash` as it was at `checked`, until it is compared.
    pub noted: Option<[u8; 32]>,
}

impl Applied {
    pub(super) fn encode(&self) -> Bytes {
        codec::seal(&wire::Applied {
            log_id: self.log_id.as_ref().map(codec::log_id_to_wire),
            membership: Some(codec::stored_membership_to_wire(&self.membership)),
            state_hash: Bytes::copy_from_slice(&self.state_hash),
            checked: self.checked,
            noted: self.noted.map(|noted| Bytes::copy_from_slice(&noted)).unwrap_or_default(),
        })
    }

    /// Decodes what `encode` wrote; `Error::Corrupt` or `Error::Version` if the record is not such.
    pub fn decode(record: Bytes) -> Result<Self, Error> {
        let applied: wire::Applied = codec::open(WHAT, record)?;
        let log_id = applied.log_id.as_ref().ok_or_else(|| Error::corrupt(WHAT, "it has no log id"))?;
        let membership =
            applied.membership.as_ref().ok_or_else(|| Error::corrupt(WHAT, "it has no membership"))?;
        let hash = |bytes: &Bytes| {
            <[u8; 32]>::try_from(bytes.as_ref()).map_err(|_| Error::corrupt(WHAT, "its hash is not 32 bytes"))
        };
        let noted = if applied.noted.is_empty() { None } else { Some(hash(&applied.noted)?) };
        Ok(Self {
            log_id: Some(codec::log_id_from_wire(log_id)),
            membership: Arc::new(codec::stored_membership_from_wire(membership)?),
            state_hash: hash(&applied.state_hash)?,
            checked: applied.checked,
            noted,
        })
    }
}

/// The next link: previous hash, index, then every write in key order.
///
/// One link per entry, so that replicas agree however they batched.
pub(super) fn chain(previous: &[u8; 32], index: u64, writes: &BTreeMap<Bytes, Option<Bytes>>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(previous);
    hasher.update(&index.to_be_bytes());
    for (key, value) in writes {
        hash_field(&mut hasher, key);
        match value {
            Some(value) => {
                hasher.update(&[1]);
                hash_field(&mut hasher, value);
            }
            None => {
                hasher.update(&[0]);
            }
        }
    }
    hasher.finalize().into()
}

/// Length first: no two sequences of fields read alike.
fn hash_field(hasher: &mut blake3::Hasher, field: &[u8]) {
    hasher.update(&(field.len() as u64).to_be_bytes());
    hasher.update(field);
}

#[cfg(test)]
mod tests {
    use openraft::impls::leader_id_adv::LeaderId;
    use rowhouse_proto::hex;

    use super::*;

    /// Bytes of version 2.
    const GOLDEN: &str = "02aa47f4dd0a06080310041805120212001a20070707070707070707070707070707070707070707070707070707070707070720042a200808080808080808080808080808080808080808080808080808080808080808";

    fn writes(records: &[(&'static str, Option<&'static str>)]) -> BTreeMap<Bytes, Option<Bytes>> {
        records
            .iter()
            .map(|(key, value)| {
                (Bytes::from_static(key.as_bytes()), value.map(|value| Bytes::from_static(value.as_bytes())))
            })
            .collect()
    }

    #[test]
    fn the_hash_tells_every_difference() {
        let base = chain(&[0; 32], 1, &writes(&[("a", Some("b"))]));
        for other in [
            chain(&[1; 32], 1, &writes(&[("a", Some("b"))])),
            chain(&[0; 32], 2, &writes(&[("a", Some("b"))])),
            chain(&[0; 32], 1, &writes(&[("ab", Some(""))])),
            chain(&[0; 32], 1, &writes(&[("a", None)])),
            chain(&[0; 32], 1, &writes(&[])),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn the_record_round_trips_and_damage_is_found() {
        let log_id = LogId { leader_id: LeaderId { term: 3, node_id: 4 }, index: 5 };
        let applied = Applied {
            log_id: Some(log_id),
            membership: Arc::default(),
            state_hash: [7; 32],
            checked: 4,
            noted: Some([8; 32]),
        };
        let record = applied.encode();
        assert_eq!(hex(&record), GOLDEN, "a difference is a format change (docs/formats.md)");
        assert_eq!(Applied::decode(record.clone()).expect("what we wrote"), applied);
        let compared = Applied { noted: None, ..applied };
        assert_eq!(Applied::decode(compared.encode()).expect("what we wrote"), compared);
        let mut damaged = record.to_vec();
        damaged[12] ^= 1;
        assert!(Applied::decode(damaged.into()).is_err());
        assert!(Applied::decode(Applied::default().encode()).is_err(), "a record without a log id");
    }
}
