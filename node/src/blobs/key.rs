//! The name of a chunk: replica, version and number. The index orders chunks by it.

use std::fmt;

use rowhouse_raft::ReplicaId;

/// Drawn afresh for every body, so that a chunk has one owner and its bytes never change.
pub type VersionId = [u8; 16];

/// A chunk is the piece `index` of a body, as one replica holds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkKey {
    /// The replica that holds it.
    pub replica: ReplicaId,
    /// The version of a body that it is a piece of.
    pub version: VersionId,
    /// Its number in the body, from 0.
    pub index: u32,
}

/// The chunks of one version that this node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldVersion {
    /// Which one.
    pub version: VersionId,
    /// How many of its chunks are there.
    pub chunks: u32,
    /// Their bodies together.
    pub bytes: u64,
    /// Unix ms at which its youngest chunk was written.
    pub written_at_ms: u64,
}

/// Sets chunks apart from the index's own records.
pub(super) const CHUNK_PREFIX: u8 = b'c';
const KEY_BYTES: usize = 1 + 8 + 16 + 4;

impl ChunkKey {
    /// As the index orders it: replica, version and number, each big-endian.
    pub(super) fn encode(self) -> [u8; KEY_BYTES] {
        let mut key = [0; KEY_BYTES];
        key[0] = CHUNK_PREFIX;
        key[1..9].copy_from_slice(&self.replica.to_be_bytes());
        key[9..25].copy_from_slice(&self.version);
        key[25..].copy_from_slice(&self.index.to_be_bytes());
        key
    }

    /// `None`: not the key of a chunk.
    pub(super) fn decode(key: &[u8]) -> Option<Self> {
        let key: &[u8; KEY_BYTES] = key.try_into().ok()?;
        let (prefix, rest) = key.split_first()?;
        let (replica, rest) = rest.split_first_chunk()?;
        let (version, index) = rest.split_first_chunk()?;
        (*prefix == CHUNK_PREFIX).then_some(Self {
            replica: u64::from_be_bytes(*replica),
            version: *version,
            index: u32::from_be_bytes(index.try_into().ok()?),
        })
    }
}

impl fmt::Display for ChunkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = u128::from_be_bytes(self.version);
        write!(f, "chunk {} of version {version:032x} of replica {}", self.index, self.replica)
    }
}

/// Keys of the index from `from` up to but without `to`.
#[derive(Clone, Debug)]
pub(super) struct KeyRange {
    pub(super) from: Vec<u8>,
    pub(super) to: Vec<u8>,
}

impl KeyRange {
    /// The chunks of one version.
    pub(super) fn version(replica: ReplicaId, version: VersionId) -> Self {
        let from = ChunkKey { replica, version, index: 0 }.encode().to_vec();
        Self { from, to: after_version(replica, version) }
    }

    /// The chunks of a replica's versions that come after `after`, of all of them for `None`.
    pub(super) fn replica(replica: ReplicaId, after: Option<VersionId>) -> Self {
        let from = match after {
            Some(version) => after_version(replica, version),
            None => ChunkKey { replica, version: [0; 16], index: 0 }.encode().to_vec(),
        };
        Self { from, to: after_version(replica, [0xff; 16]) }
    }

    /// All chunks of this node.
    pub(super) fn all() -> Self {
        Self::behind(None)
    }

    /// The chunks that come after those of version `last`, of this replica and of all later ones.
    pub(super) fn behind(last: Option<(ReplicaId, VersionId)>) -> Self {
        let from =
            last.map_or_else(|| vec![CHUNK_PREFIX], |(replica, version)| after_version(replica, version));
        Self { from, to: vec![CHUNK_PREFIX + 1] }
    }
}

/// The first key behind every chunk of the version.
fn after_version(replica: ReplicaId, version: VersionId) -> Vec<u8> {
    let mut key = ChunkKey { replica, version, index: u32::MAX }.encode().to_vec();
    key.push(0);
    key
}
