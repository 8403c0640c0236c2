//! Which replicas live on this node: `ReplicaRecord`, written before anything else of a replica and
//! left behind for ever as a tombstone, so that no id comes back with an empty log.

use bytes::{BufMut, Bytes, BytesMut};

use super::answer::submit_durably;
use super::engine::{LogEngine, LogOp, MetaKind};
use crate::error::Error;
use crate::{GroupId, ReplicaId};

/// Version, group, phase and checksum.
const RECORD_BYTES: usize = 8;
/// Raised when the layout changes.
const RECORD_VERSION: u8 = 1;
/// Floor of a tombstone: every entry of the replica may go.
pub(super) const TOMBSTONE_FLOOR: u64 = u64::MAX;

/// How far the life of a replica on this node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ReplicaPhase {
    /// Created by the coordinator, not a member yet.
    Initializing = 1,
    /// A member of its group.
    Live = 2,
    /// Destroyed; the id never comes back.
    Tombstone = 3,
}

/// This node's record of a replica that it holds or held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaRecord {
    /// Its group.
    pub group: GroupId,
    /// How far its life is.
    pub phase: ReplicaPhase,
}

impl ReplicaRecord {
    /// The record of `replica`; `None` if it never was on this node. Blocks on the disk.
    pub fn read(engine: &dyn LogEngine, replica: ReplicaId) -> Result<Option<Self>, Error> {
        engine.meta(replica, MetaKind::ReplicaState)?.map(|value| Self::decode(&value)).transpose()
    }

    /// Every replica this node ever held, tombstones included.
    pub fn all(engine: &dyn LogEngine) -> Result<Vec<(ReplicaId, Self)>, Error> {
        let replicas = engine.replicas()?;
        replicas.into_iter().map(|(replica, value)| Ok((replica, Self::decode(&value)?))).collect()
    }

    /// Synced when it returns. A tombstone is final; it releases the replica's whole log.
    pub async fn write(self, engine: &dyn LogEngine, replica: ReplicaId) -> Result<(), Error> {
        match Self::read(engine, replica)? {
            Some(current) if current == self => return Ok(()),
            Some(current) if current.phase == ReplicaPhase::Tombstone => {
                return Err(Error::Tombstone(replica));
            }
            _ => {}
        }
        let value = Some(self.encode());
        let mut ops = vec![LogOp::Meta { replica, kind: MetaKind::ReplicaState, value }];
        if self.phase == ReplicaPhase::Tombstone {
            ops.push(LogOp::Purge { replica, upto: TOMBSTONE_FLOOR });
        }
        submit_durably(engine, ops).await
    }

    fn encode(self) -> Bytes {
        let mut value = BytesMut::with_capacity(RECORD_BYTES);
        value.put_u8(RECORD_VERSION);
        value.put_u16(self.group);
        value.put_u8(self.phase as u8);
        value.put_u32(crc32c::crc32c(&value));
        value.freeze()
    }

    pub(super) fn decode(value: &[u8]) -> Result<Self, Error> {
        const WHAT: &str = "a replica record";
        let Ok([version, group_high, group_low, phase, checksum @ ..]) =
            <[u8; RECORD_BYTES]>::try_from(value)
        else {
            return Err(Error::corrupt(WHAT, format_args!("{} bytes long", value.len())));
        };
        if version != RECORD_VERSION {
            return Err(Error::Version { what: WHAT, found: version.into(), known: RECORD_VERSION.into() });
        }
        if crc32c::crc32c(&value[..4]) != u32::from_be_bytes(checksum) {
            return Err(Error::corrupt(WHAT, "its checksum does not match"));
        }
        let phase = match phase {
            1 => ReplicaPhase::Initializing,
            2 => ReplicaPhase::Live,
            3 => ReplicaPhase::Tombstone,
            other => return Err(Error::corrupt(WHAT, format_args!("phase {other}"))),
        };
        Ok(Self { group: GroupId::from_be_bytes([group_high, group_low]), phase })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_round_trip_and_refuse_damage() {
        for phase in [ReplicaPhase::Initializing, ReplicaPhase::Live, ReplicaPhase::Tombstone] {
            let record = ReplicaRecord { group: 0xFFFF, phase };
            let value = record.encode();
            assert_eq!(ReplicaRecord::decode(&value).expect("what we wrote"), record);
            for at in 0..value.len() {
                let mut damaged = value.to_vec();
                damaged[at] ^= 1;
                assert!(ReplicaRecord::decode(&damaged).is_err(), "byte {at}");
            }
        }
        assert!(ReplicaRecord::decode(b"short").is_err());
    }
}
