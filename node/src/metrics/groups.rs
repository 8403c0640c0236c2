//! All replicas of this node at one moment. A scrape reads a dozen numbers of them: they are asked once for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rowhouse_proto::lock::lock;
use rowhouse_raft::{GroupId, GroupRole, GroupStatus, ReplicaId};

use crate::Group;
use crate::local::Local;
use crate::peers::Cluster;

/// A scrape takes less.
const KEPT_FOR: Duration = Duration::from_millis(200);

/// The replicas as they were a moment ago.
#[derive(Default)]
pub struct Groups(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    seen: Option<(Instant, Arc<Seen>)>,
    /// The term of each replica when it was seen last.
    terms: BTreeMap<GroupId, (ReplicaId, u64)>,
    elections: u64,
}

/// What was seen of them.
#[derive(Debug, Default)]
pub struct Seen {
    /// Each replica that runs, or that should run and broke.
    pub replicas: Vec<GroupStatus>,
    /// Proposals under way, of all groups.
    pub pending: usize,
    /// Replicas that cannot start.
    pub stuck: usize,
    /// Replicas that lead and do not hear a majority.
    pub cut_off: usize,
    /// Replicas that follow a leader whose node is silent. They go on naming it until there is another one.
    pub unheard: usize,
    /// Terms that began since the first look.
    pub elections: u64,
}

impl Groups {
    /// As they are now, or were `KEPT_FOR` ago at most.
    pub fn look(&self, local: &Local, cluster: &Cluster) -> Arc<Seen> {
        let mut kept = lock(&self.0);
        if let Some((at, seen)) = &kept.seen
            && at.elapsed() < KEPT_FOR
        {
            return Arc::clone(seen);
        }
        let groups = local.host.groups();
        let replicas: Vec<GroupStatus> = groups.iter().map(|group| group.status()).collect();
        let problems = local.problems.load();
        let runs = |group: &GroupId| replicas.iter().any(|status| status.group == *group);
        let stuck = problems.iter().filter(|(group, _)| !runs(group)).count();
        kept.count_elections(&replicas);
        let pending = groups.iter().map(|group| Group::pending_proposals(group)).sum();
        let cut_off = groups.iter().filter(|group| group.is_leader() && !group.leads_a_majority()).count();
        let me = local.identity.node_uuid();
        let is_unheard = |status: &&GroupStatus| {
            status.leader.is_some_and(|(_, node)| node != me && cluster.peers.is_silent(&node))
        };
        let following =
            replicas.iter().filter(|it| matches!(it.role, GroupRole::Follower | GroupRole::Learner));
        let unheard = following.filter(is_unheard).count();
        let seen = Arc::new(Seen { replicas, pending, stuck, cut_off, unheard, elections: kept.elections });
        kept.seen = Some((Instant::now(), Arc::clone(&seen)));
        seen
    }
}

impl Kept {
    /// A term is counted once, also when several began since the last look. The first look at a replica counts none.
    fn count_elections(&mut self, replicas: &[GroupStatus]) {
        let now = replicas.iter().map(|status| (status.group, (status.replica, status.term))).collect();
        let before = std::mem::replace(&mut self.terms, now);
        for status in replicas {
            if let Some((replica, term)) = before.get(&status.group)
                && *replica == status.replica
            {
                self.elections += status.term.saturating_sub(*term);
            }
        }
    }
}

impl Seen {
    /// Replicas of this role.
    pub fn count(&self, role: GroupRole) -> usize {
        let of_role = self.replicas.iter().filter(|status| status.role == role).count();
        if role == GroupRole::Broken { of_role + self.stuck } else { of_role }
    }

    /// Replicas that hear no leader or are one that is cut off, those that do not run among them.
    pub fn leaderless(&self) -> usize {
        let lost = |status: &&GroupStatus| {
            status.leader.is_none() || matches!(status.role, GroupRole::Candidate | GroupRole::Broken)
        };
        self.replicas.iter().filter(lost).count() + self.cut_off + self.unheard + self.stuck
    }

    /// The largest of what `of` tells of each replica.
    pub fn max(&self, of: fn(&GroupStatus) -> u64) -> u64 {
        self.replicas.iter().map(of).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(group: GroupId, replica: ReplicaId, role: GroupRole, term: u64) -> GroupStatus {
        GroupStatus {
            group,
            replica,
            role,
            term,
            leader: Some((1, [1; 16])),
            last_log: 0,
            committed: 0,
            applied: 0,
            purged: 0,
            state_hash: [0; 32],
            hash_index: 0,
            lag: 0,
            matched: Vec::new(),
            problem: None,
        }
    }

    #[test]
    fn each_term_of_a_replica_is_one_election() {
        let mut kept = Kept::default();
        let mut look = |replicas: &[(GroupId, ReplicaId, u64)]| {
            let seen: Vec<GroupStatus> = replicas
                .iter()
                .map(|(group, id, term)| status(*group, *id, GroupRole::Follower, *term))
                .collect();
            kept.count_elections(&seen);
            kept.elections
        };
        assert_eq!(look(&[(0, 1, 7), (1, 2, 3)]), 0, "the first look");
        assert_eq!(look(&[(0, 1, 9), (1, 2, 3)]), 2);
        assert_eq!(
            look(&[(0, 5, 20), (1, 2, 4)]),
            3,
            "another replica of the group is met for the first time"
        );
        assert_eq!(look(&[(0, 5, 20)]), 3);
        assert_eq!(look(&[(0, 5, 21), (1, 2, 9)]), 4, "it was away meanwhile");
    }

    #[test]
    fn replicas_that_know_no_leader_are_told() {
        let alone = GroupStatus { leader: None, ..status(1, 2, GroupRole::Follower, 1) };
        let seen = Seen {
            replicas: vec![
                status(0, 1, GroupRole::Leader, 1),
                alone,
                status(2, 3, GroupRole::Candidate, 1),
                status(3, 4, GroupRole::Broken, 1),
            ],
            stuck: 1,
            cut_off: 1,
            unheard: 2,
            ..Seen::default()
        };
        assert_eq!(seen.leaderless(), 7);
        assert_eq!((seen.count(GroupRole::Leader), seen.count(GroupRole::Broken)), (1, 2));
    }
}
