//! A replica's report of itself, for the coordinator and for operators.

use rowhouse_proto::wire::meta::{Follower, GroupStatus, Members};
use rowhouse_raft::Group;
use rowhouse_raft::runtime::Runtime;

use super::change::members_id;

/// What the engine knows of the replica; its objects are not in it.
pub fn report<R: Runtime>(group: &Group<R>) -> GroupStatus {
    let (status, members) = (group.status(), group.members());
    GroupStatus {
        group: u32::from(status.group),
        replica_id: status.replica,
        role: status.role.as_str().to_owned(),
        term: status.term,
        leader_replica: status.leader.map_or(0, |(replica, _)| replica),
        last_log: status.last_log,
        committed: status.committed,
        applied: status.applied,
        purged: status.purged,
        state_hash: status.state_hash.to_vec().into(),
        hash_index: status.hash_index,
        lag: status.lag,
        problem: status.problem.unwrap_or_default(),
        members: Some(Members {
            id: members.id.as_ref().map(members_id),
            joint: members.is_joint(),
            voters: members.all_voters().into_iter().collect(),
            learners: members.learners.into_iter().collect(),
        }),
        followers: group.followers().into_iter().map(follower).collect(),
        ..GroupStatus::default()
    }
}

fn follower(follower: rowhouse_raft::Follower) -> Follower {
    let rowhouse_raft::Follower { replica, matched, answered } = follower;
    Follower { replica_id: replica, matched, answered }
}
