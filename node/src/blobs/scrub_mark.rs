//! How far the scrub has come. It is kept in the index's database, because a node may stop before all is read.

use rowhouse_raft::ReplicaId;

use super::key::VersionId;
use super::record::u64_at;

const TIMES_BYTES: usize = 16;

/// Written after each object that was read, and when a scrub ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrubMark {
    /// Unix ms at which a scrub last ended; 0: none has.
    pub ended_ms: u64,
    /// Unix ms at which the next one begins; 0: not known yet.
    pub due_ms: u64,
    /// The last version read by the scrub that runs.
    pub cursor: Option<(ReplicaId, VersionId)>,
}

impl ScrubMark {
    /// As the index keeps it.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = [self.ended_ms.to_be_bytes(), self.due_ms.to_be_bytes()].concat();
        if let Some((replica, version)) = self.cursor {
            bytes.extend_from_slice(&replica.to_be_bytes());
            bytes.extend_from_slice(&version);
        }
        bytes
    }

    /// Bytes that cannot be read count as no scrub at all.
    pub(super) fn decode(bytes: &[u8]) -> Self {
        let cursor = || {
            let version = bytes.get(TIMES_BYTES + 8..)?.try_into().ok()?;
            Some((u64_at(bytes, TIMES_BYTES)?, version))
        };
        Self {
            ended_ms: u64_at(bytes, 0).unwrap_or_default(),
            due_ms: u64_at(bytes, 8).unwrap_or_default(),
            cursor: cursor(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_read_as_it_was_written() {
        for cursor in [None, Some((7, [9; 16]))] {
            let mark = ScrubMark { ended_ms: 1, due_ms: 2, cursor };
            assert_eq!(ScrubMark::decode(&mark.encode()), mark);
        }
        assert_eq!(ScrubMark::decode(&[]), ScrubMark::default());
    }
}
