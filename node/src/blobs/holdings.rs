//! How many bytes of chunks each replica has on this disk. The writer keeps it; reports and erasing read it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use rowhouse_raft::ReplicaId;
use rowhouse_raft::lock::lock;

/// Chunks and bytes of one replica.
#[derive(Clone, Copy, Debug, Default)]
struct Holding {
    chunks: u64,
    bytes: u64,
}

/// Of those that have any.
#[derive(Default)]
pub(super) struct Holdings {
    holdings: Mutex<BTreeMap<ReplicaId, Holding>>,
}

impl Holdings {
    /// The index names a chunk of so many bytes from now on.
    pub(super) fn add(&self, replica: ReplicaId, bytes: u32) {
        let mut holdings = self.holdings();
        let holding = holdings.entry(replica).or_default();
        holding.chunks += 1;
        holding.bytes += u64::from(bytes);
    }

    /// The index names it no more.
    pub(super) fn free(&self, replica: ReplicaId, bytes: u32) {
        let mut holdings = self.holdings();
        let Some(holding) = holdings.get_mut(&replica) else {
            debug_assert!(false, "a chunk of replica {replica} was freed and never added");
            return;
        };
        holding.chunks = holding.chunks.saturating_sub(1);
        holding.bytes = holding.bytes.saturating_sub(u64::from(bytes));
        if holding.chunks == 0 {
            holdings.remove(&replica);
        }
    }

    pub(super) fn bytes_of(&self, replica: ReplicaId) -> u64 {
        self.holdings().get(&replica).map_or(0, |holding| holding.bytes)
    }

    /// The replicas that have a chunk here.
    pub(super) fn replicas(&self) -> Vec<ReplicaId> {
        self.holdings().keys().copied().collect()
    }

    fn holdings(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Holding>> {
        lock(&self.holdings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_replica_has_its_own_bytes_until_its_last_chunk_goes() {
        let holdings = Holdings::default();
        for (replica, bytes) in [(1, 10), (2, 5), (1, 0)] {
            holdings.add(replica, bytes);
        }
        assert_eq!((holdings.bytes_of(1), holdings.bytes_of(2), holdings.bytes_of(3)), (10, 5, 0));
        holdings.free(1, 10);
        assert_eq!((holdings.replicas(), holdings.bytes_of(1)), (vec![1, 2], 0), "an empty chunk is one");
        holdings.free(1, 0);
        assert_eq!(holdings.replicas(), [2]);
    }
}
