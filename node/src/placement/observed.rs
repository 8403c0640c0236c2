//! Pure: the reports of the nodes, joined by group.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::{Follower, GroupStatus, Members, NodeStatusReply};
use rowhouse_raft::GroupRole;

use crate::identity::NodeUuid;

/// A replica this many entries behind its leader is close to it.
const CLOSE_ENTRIES: u64 = 1_000;
/// The leader appends nothing more until its heir has the last entry, so that few may be missing there.
pub const HEIR_LAG_MAX: u64 = 64;

/// The cluster as its nodes report it.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    pub nodes: BTreeMap<NodeUuid, ObservedNode>,
    pub groups: BTreeMap<u32, ObservedGroup>,
}

/// A node that answered just now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedNode {
    pub used_bytes: u64,
    pub disk_bytes: u64,
    pub low_space: bool,
    pub draining: bool,
}

/// One group, as the nodes that answered have it.
#[derive(Clone, Debug, Default)]
pub struct ObservedGroup {
    /// The leader of the highest term; `None` if nobody says that it leads.
    pub leader: Option<Leader>,
    pub replicas: BTreeMap<u64, ObservedReplica>,
}

/// The leader's report of its group.
#[derive(Clone, Debug)]
pub struct Leader {
    pub node: NodeUuid,
    pub replica: u64,
    pub term: u64,
    pub members: Members,
    pub last_log: u64,
    pub committed: u64,
    pub followers: BTreeMap<u64, Follower>,
    /// Bytes of the group's large bodies.
    pub bytes: u64,
}

/// A replica's report of itself.
#[derive(Clone, Debug, Default)]
pub struct ObservedReplica {
    /// It ended, on a node that answers.
    pub is_broken: bool,
    /// Log index up to which it has looked for its objects.
    pub objects_seen: Option<u64>,
    /// Objects it knows to be missing or damaged.
    pub objects_lacking: u64,
    /// Rounds in a row in which it was close to its leader.
    pub close_rounds: u32,
    /// The leader's last entry in the first of those rounds.
    pub close_since: u64,
}

impl Observed {
    /// Joins reports. `previous` is the round before.
    pub fn of(statuses: &[NodeStatusReply], previous: &Self) -> Self {
        let mut observed = Self::default();
        for status in statuses {
            let Ok(node) = NodeUuid::try_from(&status.node_uuid[..]) else { continue };
            let report = ObservedNode {
                used_bytes: status.used_bytes,
                disk_bytes: status.disk_bytes,
                low_space: status.low_space,
                draining: status.draining || status.log_hangs,
            };
            observed.nodes.insert(node, report);
            for group in &status.groups {
                observed.groups.entry(group.group).or_default().take(node, group);
            }
        }
        for (number, group) in &mut observed.groups {
            group.count_rounds(previous.groups.get(number));
        }
        observed
    }
}

impl ObservedGroup {
    fn take(&mut self, node: NodeUuid, status: &GroupStatus) {
        if status.replica_id == 0 {
            return;
        }
        let replica = ObservedReplica {
            is_broken: status.role == GroupRole::Broken.as_str(),
            objects_seen: status.objects_seen,
            objects_lacking: status.objects_missing + status.objects_damaged,
            close_rounds: 0,
            close_since: 0,
        };
        self.replicas.insert(status.replica_id, replica);
        // A term may see several leaders; the later ones have higher replica ids.
        let order = (status.term, status.replica_id);
        let newer = self.leader.as_ref().is_none_or(|leader| (leader.term, leader.replica) < order);
        if status.role == "leader" && newer {
            self.leader = Some(Leader {
                node,
                replica: status.replica_id,
                term: status.term,
                members: status.members.clone().unwrap_or_default(),
                last_log: status.last_log,
                committed: status.committed,
                followers: status.followers.iter().map(|it| (it.replica_id, *it)).collect(),
                bytes: status.bytes,
            });
        }
    }

    fn count_rounds(&mut self, previous: Option<&Self>) {
        let Some(leader) = &self.leader else { return };
        for (id, replica) in &mut self.replicas {
            let close = leader
                .followers
                .get(id)
                .is_some_and(|it| it.answered && it.matched + CLOSE_ENTRIES >= leader.last_log);
            let before = previous.and_then(|group| group.replicas.get(id)).filter(|it| it.close_rounds > 0);
            replica.close_rounds =
                if close { before.map_or(0, |it| it.close_rounds).saturating_add(1) } else { 0 };
            replica.close_since = before.map_or(leader.last_log, |it| it.close_since);
        }
    }
}

impl Leader {
    /// Whether its members are settled: one set, and committed.
    pub fn is_settled(&self) -> bool {
        let committed = self.members.id.is_some_and(|id| id.index <= self.committed);
        committed && !self.members.joint
    }

    /// The voter that could lead best besides `not`: it answers, and has everything or nearly.
    pub fn heir(&self, not: u64) -> Option<u64> {
        let voters = self.members.voters.iter().filter(|id| **id != not && **id != self.replica);
        let ready = voters.filter_map(|id| self.followers.get(id)).filter(|it| self.may_lead(it));
        ready.max_by_key(|it| it.matched).map(|it| it.replica_id)
    }

    /// Whether a follower could take over at once.
    pub fn may_lead(&self, follower: &Follower) -> bool {
        follower.answered && follower.matched + HEIR_LAG_MAX >= self.last_log
    }
}
