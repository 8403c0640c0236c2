//! A coordinator's change of a group's members, where the group is led. A coordinator that another one deposed changes
//! nothing.

use std::collections::BTreeMap;
use std::sync::Mutex;

use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::meta::{MembersId, ReplicaInfo};
use rowhouse_raft::codec::LogId;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::{Group, ProposeError, Replica, ReplicaId};

use crate::identity::NodeUuid;
use crate::planted;

/// A coordinator: the term of the meta group in which it leads, and its replica there. Later ones are above earlier ones:
/// a term may see several leaders, and they follow each other in the order of their replicas.
pub type CoordinatorId = (u64, ReplicaId);

/// The latest coordinator that called this node. An earlier one is deposed.
#[derive(Debug, Default)]
pub struct Fence(Mutex<CoordinatorId>);

impl Fence {
    /// Lets a coordinator in, unless a later one was heard of. The reason is for the coordinator.
    pub fn admit(&self, coordinator: CoordinatorId) -> Result<(), String> {
        let mut latest = lock(&self.0);
        *latest = coordinator.max(*latest);
        if coordinator < *latest && !planted::obey_deposed_coordinators() {
            return Err(format!("coordinator of term {} is deposed", coordinator.0));
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
        for coordinator in [(1, 9), (3, 1), (3, 1), (7, 2), (7, 4)] {
            fence.admit(coordinator).expect("none later");
        }
        assert!(fence.admit((6, 9)).expect_err("of an earlier term").contains("term 6"));
        fence.admit((7, 2)).expect_err("another leads in the same term since");
        fence.admit((7, 4)).expect("the latest");
    }
}
