//! Changes of a group's members for a coordinator, and the wishes of operators.

use rowhouse_proto::wire::meta::{ChangeMembersReply, ChangeMembersRequest, OperateReply, OperateRequest};
use tonic::Status;
use tracing::info;

use super::MetaService;
use super::meta::leader_of;
use crate::placement::change_members;
use crate::{Error, meta};

impl MetaService {
    /// Changes the members of a group that is led from here.
    pub(super) async fn change(&self, request: ChangeMembersRequest) -> Result<ChangeMembersReply, Status> {
        let refused = |refused: String| Ok(ChangeMembersReply { refused });
        let group = match self.led(request.group, (request.coordinator_term, request.coordinator_replica)) {
            Ok(group) => group,
            Err(why) => return refused(why),
        };
        let (voters, learners) = (&request.voters, &request.learners);
        if let Err(why) = change_members(&group, request.expect, voters, learners).await {
            return refused(why);
        }
        info!(group = request.group, voters = voters.len(), learners = learners.len(), "members changed");
        refused(String::new())
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
