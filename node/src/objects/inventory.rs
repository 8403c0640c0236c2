//! How complete each replica here is: how far it has looked for its objects, which it lacks, what is damaged.
//!
//! It outlives the actors that work by it, so that one that begins anew has forgotten nothing. It is in memory only: a
//! node that starts looks at everything again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

use rowhouse_raft::ReplicaId;
use rowhouse_raft::lock::lock;

use crate::identity::NodeUuid;
use crate::state::objects::ObjectId;

/// Objects known to be incomplete, give or take a page; beyond it the rest waits unseen.
const MISSING_MAX: usize = 1024;
/// Known damage of one replica. Damage beyond it makes the replica look at everything again.
const DAMAGED_MAX: usize = 4096;

/// A chunk that a replica lacks, or that is not what was written; without an index the object as a whole.
pub type Flaw = (ObjectId, Option<u32>);

/// A flaw that somebody came upon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    pub replica: ReplicaId,
    pub object: ObjectId,
    /// None: the object as a whole.
    pub index: Option<u32>,
}

/// A replica's report of its objects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stock {
    /// Every object that was live at this log index was looked for; `None` while that is not known.
    pub seen: Option<u64>,
    /// Live objects known to lack chunks.
    pub missing: u64,
    /// Chunks and objects that were reported and are not mended yet.
    pub damaged: u64,
}

/// One replica's part.
#[derive(Default)]
struct Shelf {
    /// Log index up to which objects were looked at: later ones have later indexes, also after a snapshot.
    looked: u64,
    seen: Option<u64>,
    missing: BTreeSet<ObjectId>,
    damaged: BTreeSet<Flaw>,
    /// Damage was reported that there was no room for.
    overflowed: bool,
    /// The node that last gave what it was asked for.
    near: Option<NodeUuid>,
}

/// Of all replicas that ran since the node started.
#[derive(Default)]
pub struct Inventory {
    shelves: Mutex<BTreeMap<ReplicaId, Shelf>>,
}

impl Inventory {
    /// The replica's report; nothing is known of one that never looked.
    pub fn stock(&self, replica: ReplicaId) -> Stock {
        let shelves = self.shelves();
        let Some(shelf) = shelves.get(&replica) else { return Stock::default() };
        Stock { seen: shelf.seen, missing: shelf.missing.len() as u64, damaged: shelf.damaged.len() as u64 }
    }

    /// Notes damage until it is mended; whether it was not known yet. What there is no room for is found by looking
    /// again, and until then the replica does not say that it has seen everything.
    pub(super) fn note(&self, damage: Damage) -> bool {
        let Damage { replica, object, index } = damage;
        let mut shelves = self.shelves();
        let shelf = shelves.entry(replica).or_default();
        if shelf.damaged.len() >= DAMAGED_MAX && !shelf.damaged.contains(&(object, index)) {
            shelf.overflowed = true;
            shelf.seen = None;
            return true;
        }
        shelf.damaged.insert((object, index))
    }

    /// The log index behind which to look on; `None` while so much is missing that nothing more is looked for.
    pub(super) fn looked(&self, replica: ReplicaId) -> Option<u64> {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(replica).or_default();
        (shelf.missing.len() < MISSING_MAX).then_some(shelf.looked)
    }

    /// Objects up to a log index were looked at, and these lack chunks.
    pub(super) fn looked_at(&self, replica: ReplicaId, upto: u64, missing: Vec<ObjectId>) {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(replica).or_default();
        shelf.looked = upto;
        shelf.missing.extend(missing);
    }

    /// No object is left to look at, and `applied` was applied before that was found.
    pub(super) fn looked_at_all(&self, replica: ReplicaId, applied: u64) {
        let mut shelves = self.shelves();
        let shelf = shelves.entry(replica).or_default();
        if shelf.overflowed {
            (shelf.overflowed, shelf.looked) = (false, 0);
        } else {
            shelf.seen = shelf.seen.max(Some(applied));
        }
    }

    /// Whether there is something to fetch for the replica.
    pub(super) fn lacks(&self, replica: ReplicaId) -> bool {
        let shelves = self.shelves();
        shelves.get(&replica).is_some_and(|shelf| !shelf.missing.is_empty() || !shelf.damaged.is_empty())
    }

    pub(super) fn missing(&self, replica: ReplicaId) -> Vec<ObjectId> {
        let shelves = self.shelves();
        shelves.get(&replica).map_or_else(Vec::new, |shelf| shelf.missing.iter().copied().collect())
    }

    pub(super) fn damaged(&self, replica: ReplicaId) -> Vec<Flaw> {
        let shelves = self.shelves();
        shelves.get(&replica).map_or_else(Vec::new, |shelf| shelf.damaged.iter().copied().collect())
    }

    /// The object lacks nothing any more, or is no entry's body any more.
    pub(super) fn filled(&self, replica: ReplicaId, object: &ObjectId) {
        if let Some(shelf) = self.shelves().get_mut(&replica) {
            shelf.missing.remove(object);
        }
    }

    /// The flaw is mended, or its object is no entry's body any more.
    pub(super) fn mended(&self, replica: ReplicaId, flaw: &Flaw) {
        if let Some(shelf) = self.shelves().get_mut(&replica) {
            shelf.damaged.remove(flaw);
        }
    }

    /// The node to ask first, so that one that hangs costs its deadline once and not with every object.
    pub(super) fn near(&self, replica: ReplicaId) -> Option<NodeUuid> {
        self.shelves().get(&replica)?.near
    }

    pub(super) fn set_near(&self, replica: ReplicaId, node: NodeUuid) {
        self.shelves().entry(replica).or_default().near = Some(node);
    }

    /// The replica never comes back.
    pub(super) fn forget(&self, replica: ReplicaId) {
        self.shelves().remove(&replica);
    }

    fn shelves(&self) -> MutexGuard<'_, BTreeMap<ReplicaId, Shelf>> {
        lock(&self.shelves)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPLICA: ReplicaId = 7;

    fn object(n: usize) -> ObjectId {
        (n as u128).to_be_bytes()
    }

    fn damage(n: usize) -> Damage {
        Damage { replica: REPLICA, object: object(n), index: Some(0) }
    }

    #[test]
    fn nothing_is_seen_before_a_look_has_ended() {
        let inventory = Inventory::default();
        assert_eq!(inventory.stock(REPLICA), Stock::default());
        assert_eq!(inventory.looked(REPLICA), Some(0));
        inventory.looked_at(REPLICA, 20, vec![object(1)]);
        assert_eq!(inventory.stock(REPLICA), Stock { seen: None, missing: 1, damaged: 0 });
        assert_eq!(inventory.looked(REPLICA), Some(20));
        inventory.looked_at_all(REPLICA, 25);
        assert_eq!(inventory.stock(REPLICA).seen, Some(25));
        inventory.filled(REPLICA, &object(1));
        inventory.looked_at_all(REPLICA, 31);
        assert_eq!(inventory.stock(REPLICA), Stock { seen: Some(31), missing: 0, damaged: 0 });
        assert_eq!(inventory.stock(8), Stock::default(), "another replica's is another");
        inventory.forget(REPLICA);
        assert_eq!(inventory.stock(REPLICA), Stock::default());
    }

    #[test]
    fn a_replica_that_lacks_too_much_claims_nothing_beyond() {
        let inventory = Inventory::default();
        inventory.looked_at_all(REPLICA, 9);
        inventory.looked_at(REPLICA, 5_000, (0..MISSING_MAX).map(object).collect());
        assert_eq!(inventory.looked(REPLICA), None, "the rest waits");
        assert_eq!(
            inventory.stock(REPLICA),
            Stock { seen: Some(9), missing: MISSING_MAX as u64, damaged: 0 }
        );
        inventory.filled(REPLICA, &object(3));
        assert_eq!(inventory.looked(REPLICA), Some(5_000));
    }

    #[test]
    fn damage_that_finds_no_room_makes_the_replica_look_again() {
        let inventory = Inventory::default();
        inventory.looked_at(REPLICA, 40, Vec::new());
        inventory.looked_at_all(REPLICA, 41);
        for n in 0..DAMAGED_MAX {
            assert!(inventory.note(damage(n)));
            assert!(!inventory.note(damage(n)), "it is known");
        }
        assert_eq!(inventory.stock(REPLICA).seen, Some(41));
        assert!(inventory.note(damage(DAMAGED_MAX)));
        let full = Stock { seen: None, missing: 0, damaged: DAMAGED_MAX as u64 };
        assert_eq!(inventory.stock(REPLICA), full);
        inventory.looked_at_all(REPLICA, 50);
        assert_eq!((inventory.stock(REPLICA).seen, inventory.looked(REPLICA)), (None, Some(0)));
        inventory.looked_at(REPLICA, 40, vec![object(DAMAGED_MAX)]);
        inventory.looked_at_all(REPLICA, 51);
        assert_eq!(inventory.stock(REPLICA), Stock { seen: Some(51), missing: 1, ..full });
        for flaw in inventory.damaged(REPLICA) {
            inventory.mended(REPLICA, &flaw);
        }
        assert_eq!(inventory.stock(REPLICA).damaged, 0);
        assert!(inventory.lacks(REPLICA), "what was looked for again");
    }
}
