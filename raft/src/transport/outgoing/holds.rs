//! `Holds`: positions that snapshots on their way bring. What follows them in the log is needed when they arrive
//! (docs/rules/storage.md#log-is-kept-for-those-behind).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::lock::lock;
use crate::{GroupId, ReplicaId};

/// The snapshots of a node that are on their way, or have just arrived.
#[derive(Default)]
pub(in crate::transport) struct Holds {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    held: BTreeMap<u64, Held>,
}

struct Held {
    group: GroupId,
    from: ReplicaId,
    /// The first entry behind the snapshot.
    next: u64,
    ended: bool,
}

/// One snapshot on its way; dropping it ends that.
pub(in crate::transport) struct Hold {
    holds: Arc<Holds>,
    id: u64,
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(held) = self.holds.table().held.get_mut(&self.id) {
            held.ended = true;
        }
    }
}

impl Holds {
    /// A snapshot that ends before entry `next` leaves the replica `from`.
    pub(in crate::transport) fn hold(self: &Arc<Self>, group: GroupId, from: ReplicaId, next: u64) -> Hold {
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        table.held.insert(id, Held { group, from, next, ended: false });
        Hold { holds: self.clone(), id }
    }

    /// The first entry behind the oldest snapshot that leaves a replica. One that has ended is told once
    /// more: its replica may hear of it after that.
    pub(in crate::transport) fn oldest(&self, group: GroupId, from: ReplicaId) -> Option<u64> {
        let mut table = self.table();
        let of_replica = |held: &Held| held.group == group && held.from == from;
        let oldest = table.held.values().filter(|held| of_replica(held)).map(|held| held.next).min();
        table.held.retain(|_, held| !held.ended || !of_replica(held));
        oldest
    }

    /// The replica has stopped.
    pub(in crate::transport) fn forget(&self, group: GroupId, from: ReplicaId) {
        self.table().held.retain(|_, held| held.group != group || held.from != from);
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_counts_and_the_ended_once_more() {
        let holds = Arc::new(Holds::default());
        let (first, second) = (holds.hold(1, 10, 50), holds.hold(1, 10, 70));
        let other = holds.hold(2, 20, 5);
        assert_eq!((holds.oldest(1, 10), holds.oldest(1, 11)), (Some(50), None));
        drop(first);
        assert_eq!(holds.oldest(1, 10), Some(50));
        assert_eq!(holds.oldest(1, 10), Some(70));
        holds.forget(1, 10);
        drop(second);
        assert_eq!((holds.oldest(1, 10), holds.oldest(2, 20)), (None, Some(5)));
        drop(other);
    }
}
