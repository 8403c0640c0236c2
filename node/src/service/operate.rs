//! Changes of a group's members for a coordinator, and the wishes of operators.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::{
    ChangeMembersReply, ChangeMembersRequest, OperateReply, OperateRequest, ReplicaInfo,
};
use rowhouse_raft::codec::log_id_from_wire;
use rowhouse_raft::{ProposeError, Replica, ReplicaId};
use tonic::Status;
use tracing::info;

use super::MetaService;
use super::meta::leader_of;
use crate::identity::NodeUuid;
use crate::{Error, meta, planted};

impl MetaService {
    /// Changes the members of a group that is led from here.
    pub(super) async fn change(&self, request: ChangeMembersRequest) -> Result<ChangeMembersReply, Status> {
        let refused = |refused: String| Ok(ChangeMembersReply { refused });
        let group = match self.led(request.group, request.coordinator_term) {
            Ok(group) => group,
            Err(why) => return refused(why),
        };
        let (Some(voters), Some(learners)) = (replicas(&request.voters), replicas(&request.learners)) else {
            return Err(Status::invalid_argument("a node's uuid has 16 bytes"));
        };
        if voters.is_empty() {
            return Err(Status::invalid_argument("a group needs voters"));
        }
        let now = group.members().id;
        let expect = request.expect.map(|id| {
            log_id_from_wire(&rowhouse_proto::wire::raft::LogId {
                term: id.term,
                leader: id.replica,
                index: id.index,
            })
        });
        let expect = if planted::obey_deposed_coordinators() { now } else { expect };
        let Some(expect) = expect.filter(|expect| Some(*expect) == now) else {
            return refused("the members changed meanwhile".to_owned());
        };
        let count = (voters.len(), learners.len());
        match group.change_members(expect, voters, learners).await {
            Ok(()) => {
                info!(group = request.group, voters = count.0, learners = count.1, "members changed");
                refused(String::new())
            }
            Err(ProposeError::NotLeader { .. }) => refused("not the leader".to_owned()),
            Err(error) => refused(error.to_string()),
        }
    }

    /// What an operator wishes, if this node leads the meta group.
    pub(super) async fn operated(&self, request: OperateRequest) -> Result<OperateReply, Status> {
        let wish = request.wish.ok_or_else(|| Status::invalid_argument("no wish given"))?;
        let Some(group) = self.local.host.group(meta::GROUP) else {
            return Ok(OperateReply::default());
        };
        if !group.is_leader() {
            return Ok(OperateReply { leader_node: leader_of(&group).into(), ..OperateReply::default() });
        }
        match self.coordinator.grant(&group, wish).await {
            Ok(()) => Ok(OperateReply { accepted: true, ..OperateReply::default() }),
            Err(Error::MetaRefused(refused)) => Ok(OperateReply { refused, ..OperateReply::default() }),
            Err(error) => Err(Status::unavailable(error.to_string())),
        }
    }
}

/// `None` if a node's uuid is malformed.
fn replicas(infos: &[ReplicaInfo]) -> Option<BTreeMap<ReplicaId, Replica>> {
    let replica = |info: &ReplicaInfo| {
        let node_uuid = NodeUuid::try_from(&info.node_uuid[..]).ok()?;
        Some((info.replica_id, Replica { node_uuid }))
    };
    infos.iter().map(replica).collect()
}
