//! A coordinator's change of a group's members, where the group is led. A coordinator that another one deposed changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use rowhouse_proto::wire::meta::{MembersId, ReplicaInfo};
use rowhouse_raft::codec::LogId;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::{Group, ProposeError, Replica, ReplicaId};

use crate::identity::NodeUuid;
use crate::planted;

/// The highest term in which a coordinator called this node. Terms only rise, so that a lower one is deposed.
#[derive(Debug, Default)]
pub struct Fence(AtomicU64);

impl Fence {
    /// Lets a coordinator of this term in, unless a later one was heard of. The reason is for the coordinator.
    pub fn admit(&self, term: u64) -> Result<(), String> {
        let highest = self.0.fetch_max(term, Ordering::SeqCst);
        if term < highest && !planted::obey_deposed_coordinators() {
            return Err(format!("coordinator of term {term} is deposed"));
        }
        Ok(())
    }
}

/// Makes these the members of a group that is led here, if `expect` are its members now. The reason is for the
/// coordinator, which looks again.
pub async fn change_members<R: Runtime>(
    group: &Group<R>,
    expect: Option<MembersId>,
    voters: &[ReplicaInfo],
    learners: &[ReplicaInfo],
) -> Result<(), String> {
    let (Some(voters), Some(learners)) = (replicas(voters), replicas(learners)) else {
        return Err("a node's uuid has 16 bytes".to_owned());
    };
    if voters.is_empty() {
        return Err("a group needs voters".to_owned());
    }
    let now = group.members().id;
    let is_expected = |id: &LogId| expect.is_some_and(|expect| members_id(id) == expect);
    let expect = now.filter(|id| is_expected(id) || planted::obey_deposed_coordinators());
    let Some(expect) = expect else {
        return Err("the members changed meanwhile".to_owned());
    };
    match group.change_members(expect, voters, learners).await {
        Ok(()) => Ok(()),
        Err(ProposeError::NotLeader { .. }) => Err("not the leader".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A log id as reports carry it.
pub(super) fn members_id(id: &LogId) -> MembersId {
    MembersId { term: id.leader_id.term, replica: id.leader_id.node_id, index: id.index }
}

/// `None` if a node's uuid is malformed.
fn replicas(infos: &[ReplicaInfo]) -> Option<BTreeMap<ReplicaId, Replica>> {
    let replica = |info: &ReplicaInfo| {
        let node_uuid = NodeUuid::try_from(&info.node_uuid[..]).ok()?;
        Some((info.replica_id, Replica { node_uuid }))
    };
    infos.iter().map(replica).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deposed_coordinator_is_not_let_in() {
        let fence = Fence::default();
        for term in [1, 3, 3, 7] {
            fence.admit(term).expect("none later");
        }
        assert!(fence.admit(6).expect_err("7 was heard of").contains("term 6"));
        fence.admit(7).expect("the latest");
    }
}
