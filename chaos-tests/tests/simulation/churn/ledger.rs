//! What must hold at every moment of a run, over all nodes and lives: who had which replica id, and
//! what each state was.

use std::collections::{BTreeMap, BTreeSet};

use rowhouse_chaos_tests::oracle::ReplicaHashes;
use rowhouse_raft::{GroupStatus, ReplicaId};

use crate::nodes::NodeUuid;

/// Violations kept; the first says most.
const VIOLATIONS_MAX: usize = 20;

/// Events of a run, counted so that a run that met none of them can be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Members that a coordinator changed.
    pub changes: u32,
    /// Steps of a deposed coordinator that a node refused.
    pub deposed: u32,
    /// Steps that were chosen for members of before.
    pub overtaken: u32,
    /// Leaderships handed over.
    pub transfers: u32,
    /// Replicas that ended for good.
    pub destroyed: u32,
    /// Replicas whose log began with a snapshot.
    pub snapshots: u32,
    /// Objects that a replica took from another.
    pub fetched: u32,
}

impl Counts {
    pub fn add(&mut self, other: &Self) {
        self.changes += other.changes;
        self.deposed += other.deposed;
        self.overtaken += other.overtaken;
        self.transfers += other.transfers;
        self.destroyed += other.destroyed;
        self.snapshots += other.snapshots;
        self.fetched += other.fetched;
    }
}

/// The memory of a run.
pub struct Ledger {
    /// The disk that each replica id ever had a log on.
    claims: BTreeMap<ReplicaId, NodeUuid>,
    /// Replicas with a log when they were first seen with one.
    begun: BTreeSet<ReplicaId>,
    /// Replicas that have a tombstone.
    destroyed: BTreeSet<ReplicaId>,
    hashes: ReplicaHashes,
    violations: Vec<String>,
    pub counts: Counts,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            claims: BTreeMap::new(),
            begun: BTreeSet::new(),
            destroyed: BTreeSet::new(),
            hashes: ReplicaHashes::new("chained state hash"),
            violations: Vec::new(),
            counts: Counts::default(),
        }
    }
}

impl Ledger {
    pub fn violate(&mut self, what: String) {
        if self.violations.len() < VIOLATIONS_MAX && !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    /// All that was broken, in the order of its finding.
    pub fn violations(&self) -> Vec<String> {
        let hashes = self.hashes.violations().iter().map(|it| it.what.clone());
        self.violations.iter().cloned().chain(hashes).collect()
    }

    /// How often two replicas were found equal.
    pub fn compared(&self) -> u64 {
        self.hashes.compared()
    }

    /// A replica lives on this disk.
    pub fn claim(&mut self, replica: ReplicaId, disk: NodeUuid) {
        let first = *self.claims.entry(replica).or_insert(disk);
        if first != disk {
            self.violate(format!(
                "replica {replica} had a log on node {} and has one on node {}",
                first[0], disk[0]
            ));
        }
        if self.destroyed.contains(&replica) {
            self.violate(format!("replica {replica} was removed and lives again on node {}", disk[0]));
        }
    }

    /// The disk that a replica lives on, or lived on.
    pub fn disk_of(&self, replica: ReplicaId) -> Option<NodeUuid> {
        self.claims.get(&replica).copied()
    }

    /// The replica's tombstone is durable.
    pub fn destroy(&mut self, replica: ReplicaId) {
        if self.destroyed.insert(replica) {
            self.counts.destroyed += 1;
        }
    }

    /// A change of members took effect.
    pub fn change(&mut self, group: u32, members: impl Iterator<Item = ReplicaId>) {
        self.counts.changes += 1;
        for member in members.filter(|member| self.destroyed.contains(member)).collect::<Vec<_>>() {
            self.violate(format!("group {group} has the removed replica {member} as a member again"));
        }
    }

    /// A running replica, as it says of itself.
    pub fn observe(&mut self, status: &GroupStatus) {
        let GroupStatus { group, replica, .. } = *status;
        if let Some(problem) = &status.problem {
            self.violate(format!("replica {replica} of group {group} ended: {problem}"));
        }
        if status.last_log > 0 && self.begun.insert(replica) && status.purged > 0 {
            self.counts.snapshots += 1;
        }
        self.hashes.observe(u32::from(group), status.hash_index, &status.state_hash, replica);
    }
}
