//! Bodies outside the log, as far as moves of replicas are concerned: which replica has which. A value that a client
//! puts is an object, and its rows are the real ones of the shard.

use std::collections::{BTreeMap, BTreeSet};

use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{GroupId, Members, ReplicaId};

#[derive(Default)]
struct Object {
    holders: BTreeSet<ReplicaId>,
    /// The voters when its client was told that it is kept; `None`: nobody was told.
    kept_by: Option<BTreeSet<ReplicaId>>,
}

/// All objects of a run, by the value that stands for them.
#[derive(Default)]
pub struct Objects {
    objects: BTreeMap<u64, Object>,
    /// Replicas whose disk is gone, or what they held on it.
    gone: BTreeSet<ReplicaId>,
}

/// Most, by chance.
fn chance() -> bool {
    !Simulation::random_u64().is_multiple_of(4)
}

impl Objects {
    /// A gateway sends an object to all. A majority of each set of voters has it then, and others may. `false`: too
    /// few of them are `up`.
    pub fn upload(&mut self, value: u64, members: &Members, up: impl Fn(ReplicaId) -> bool) -> bool {
        let majority = |set: &BTreeSet<ReplicaId>| set.iter().filter(|it| up(**it)).count() * 2 > set.len();
        if members.voters.is_empty() || !members.voters.iter().all(majority) {
            return false;
        }
        let object = self.objects.entry(value).or_default();
        let others = members.all_voters().into_iter().chain(members.learners.iter().copied());
        object.holders.extend(others.filter(|it| up(*it) && chance()));
        complete(&mut object.holders, members, up);
        true
    }

    /// The client is told that its object is kept: from now on a majority of the voters has it.
    pub fn keep(&mut self, value: u64, members: &Members) {
        let object = self.objects.entry(value).or_default();
        complete(&mut object.holders, members, |_| true);
        object.kept_by = Some(members.all_voters());
    }

    /// The replica has it from now on.
    pub fn hold(&mut self, value: u64, replica: ReplicaId) {
        self.objects.entry(value).or_default().holders.insert(replica);
    }

    /// Replicas that have it on a disk that still exists.
    pub fn holders(&self, value: u64) -> impl Iterator<Item = ReplicaId> {
        let holders = self.objects.get(&value).into_iter().flat_map(|object| &object.holders);
        holders.filter(|holder| !self.gone.contains(*holder)).copied()
    }

    /// Those of the `live` objects that the replica lacks. One that nobody has any more and nobody was told of does not
    /// count: apply would have refused it.
    pub fn missing(&self, replica: ReplicaId, live: &[u64]) -> Vec<u64> {
        let lacks = |value: &&u64| {
            let Some(object) = self.objects.get(*value) else { return false };
            let lost = object.kept_by.is_none() && self.holders(**value).next().is_none();
            !object.holders.contains(&replica) && !lost
        };
        live.iter().filter(lacks).copied().collect()
    }

    /// What a replica held is gone; the objects among `live` of which this was the last copy.
    pub fn lose(&mut self, replica: ReplicaId, live: &[u64]) -> Vec<u64> {
        self.gone.insert(replica);
        let is_lost = |value: &&u64| {
            let kept = self.objects.get(*value).is_some_and(|object| object.kept_by.is_some());
            kept && self.holders(**value).next().is_none()
        };
        live.iter().filter(is_lost).copied().collect()
    }

    /// What a voter lacks of the `live` objects that were kept before it voted: it answers for all of them.
    pub fn unfounded(&self, voter: ReplicaId, live: &[u64]) -> Vec<u64> {
        let lacks = |value: &&u64| {
            self.objects.get(*value).is_some_and(|object| {
                let before = object.kept_by.as_ref().is_some_and(|voters| !voters.contains(&voter));
                before && !object.holders.contains(&voter)
            })
        };
        live.iter().filter(lacks).copied().collect()
    }
}

/// Adds voters until a majority of each set holds it.
fn complete(holders: &mut BTreeSet<ReplicaId>, members: &Members, up: impl Fn(ReplicaId) -> bool) {
    for set in &members.voters {
        let mut free: Vec<ReplicaId> =
            set.iter().filter(|it| !holders.contains(*it) && up(**it)).copied().collect();
        while set.intersection(holders).count() * 2 <= set.len() && !free.is_empty() {
            let chosen = Simulation::random_u64() as usize % free.len();
            holders.insert(free.swap_remove(chosen));
        }
    }
}

/// The groups that have objects.
pub fn has_objects(group: GroupId) -> bool {
    group != rowhouse_node::meta::GROUP
}
