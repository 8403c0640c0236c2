//! The replicas of this node that frames reach.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;
use tokio::sync::Semaphore;

use super::guard::VoteGuard;
use super::port::Port;
use crate::lock::lock;
use crate::runtime::Runtime;
use crate::{GroupId, ReplicaId};

/// A replica that frames reach.
pub(in crate::transport) struct Seat<R: Runtime> {
    pub(in crate::transport) port: Arc<dyn Port<R>>,
    pub(in crate::transport) guard: Arc<VoteGuard<R>>,
    /// Closed when the replica is unregistered: a signal that needs no runtime. It never has permits.
    pub(in crate::transport) open: Arc<Semaphore>,
}

impl<R: Runtime> Seat<R> {
    pub(in crate::transport) fn new(port: Arc<dyn Port<R>>, guard: VoteGuard<R>) -> Self {
        Self { port, guard: Arc::new(guard), open: Arc::new(Semaphore::new(0)) }
    }
}

impl<R: Runtime> Clone for Seat<R> {
    fn clone(&self) -> Self {
        Self { port: self.port.clone(), guard: self.guard.clone(), open: self.open.clone() }
    }
}

/// The replicas of this node. Ids are never reused, so a frame for an old one finds nothing.
pub(in crate::transport) struct Hosted<R: Runtime> {
    seats: Mutex<BTreeMap<(GroupId, ReplicaId), Seat<R>>>,
    /// Replicas that an operator has cut off: nothing of them is let in.
    excluded: ArcSwap<BTreeSet<ReplicaId>>,
}

impl<R: Runtime> Default for Hosted<R> {
    fn default() -> Self {
        Self { seats: Mutex::default(), excluded: ArcSwap::default() }
    }
}

impl<R: Runtime> Hosted<R> {
    /// `None` for a replica that is not, or no longer, on this node, and for what comes from one that is cut off.
    pub(in crate::transport) fn find(
        &self,
        group: u32,
        replica: ReplicaId,
        from: ReplicaId,
    ) -> Option<Seat<R>> {
        if self.is_cut_off(from) {
            return None;
        }
        let group = GroupId::try_from(group).ok()?;
        self.seats().get(&(group, replica)).cloned()
    }

    fn is_cut_off(&self, replica: ReplicaId) -> bool {
        self.excluded.load().contains(&replica)
    }

    /// Cuts these off too. Nothing takes that back, so that callers who read the list at different times agree.
    pub(in crate::transport) fn exclude(&self, replicas: &BTreeSet<ReplicaId>) {
        self.excluded.rcu(|excluded| excluded.union(replicas).copied().collect::<BTreeSet<ReplicaId>>());
    }

    /// Lets frames in to a replica; an earlier seat of it is closed.
    pub(in crate::transport) fn insert(&self, group: GroupId, replica: ReplicaId, seat: Seat<R>) {
        if let Some(previous) = self.seats().insert((group, replica), seat) {
            previous.open.close();
        }
    }

    /// Lets nothing more in.
    pub(in crate::transport) fn remove(&self, group: GroupId, replica: ReplicaId) {
        if let Some(seat) = self.seats().remove(&(group, replica)) {
            seat.open.close();
        }
    }

    fn seats(&self) -> MutexGuard<'_, BTreeMap<(GroupId, ReplicaId), Seat<R>>> {
        lock(&self.seats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::Production;

    #[test]
    fn a_replica_once_cut_off_stays_so() {
        let hosted = Hosted::<Production>::default();
        hosted.exclude(&BTreeSet::from([1]));
        // Read before the first was written.
        hosted.exclude(&BTreeSet::from([2]));
        assert!(hosted.is_cut_off(1) && hosted.is_cut_off(2) && !hosted.is_cut_off(3));
    }
}
