//! Whether this node should be counted on: what a readiness probe is told.

use rowhouse_raft::{GroupRole, GroupStatus};

use crate::Group;
use crate::local::Local;
use crate::peers::Cluster;
use crate::shards::desired;

/// A follower this many entries behind what its leader has committed would hold its group up.
const BEHIND_ENTRIES_MAX: u64 = 1_000;

/// Why the node is not ready; empty: it is.
pub fn unready(local: &Local, cluster: &Cluster) -> Vec<String> {
    let map = cluster.view.map();
    if map.map_version == 0 {
        return vec!["part of no cluster yet, or its map has not arrived".to_owned()];
    }
    let mut reasons = Vec::new();
    if local.log_hangs() {
        reasons.push("the disk of its log does not answer".to_owned());
    }
    if local.drain.is_on() {
        reasons.push("draining".to_owned());
    }
    for group in desired(&map, &local.identity.node_uuid()).into_keys() {
        let problem = match local.host.group(group) {
            None => Some("its replica does not run".to_owned()),
            Some(running) => problem_of(&running),
        };
        reasons.extend(problem.map(|problem| format!("group {group}: {problem}")));
    }
    reasons
}

fn problem_of(group: &Group) -> Option<String> {
    let GroupStatus { role, leader, committed, applied, problem, .. } = group.status();
    let behind = committed.saturating_sub(applied);
    match role {
        GroupRole::Leader | GroupRole::Follower | GroupRole::Learner if leader.is_none() => {
            Some("no leader is known".to_owned())
        }
        GroupRole::Leader => None,
        GroupRole::Follower | GroupRole::Learner => (behind > BEHIND_ENTRIES_MAX)
            .then(|| format!("{behind} entries behind, at most {BEHIND_ENTRIES_MAX} are let pass")),
        GroupRole::Candidate => Some("an election is going on".to_owned()),
        GroupRole::Broken => Some(problem.unwrap_or_else(|| "it ended".to_owned())),
    }
}
