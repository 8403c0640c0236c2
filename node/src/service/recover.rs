//! The last resort for a group that has lost its majority for good (docs/rules/consensus.md#a-lost-majority-is-given-up-by-hand).

use std::collections::BTreeSet;
use std::time::Duration;

use rowhouse_proto::wire::meta::{RecoverReply, RecoverRequest};
use rowhouse_raft::{GroupId, Replica, ReplicaId};
use tonic::Status;
use tracing::error;

use super::MetaService;
use crate::identity::NodeUuid;
use crate::{Group, planted};

/// A replica whose node was heard of within this answers.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

impl MetaService {
    /// Makes the replica here the only voter of its group, unless a quorum answers.
    pub(super) async fn recovered(&self, request: RecoverRequest) -> Result<RecoverReply, Status> {
        let refused = |refused: String| Ok(RecoverReply { refused, replica: 0 });
        let group = GroupId::try_from(request.group).ok().and_then(|group| self.local.host.group(group));
        let Some(group) = group else {
            return refused("no replica of the shard runs on this node".to_owned());
        };
        let (replica, members) = (group.replica(), group.members());
        if members.voters == [BTreeSet::from([replica])] {
            return Ok(RecoverReply { replica, refused: String::new() });
        }
        let answers = |voter: &ReplicaId| *voter == replica || self.answers(&group, *voter);
        let quorum = |set: &BTreeSet<ReplicaId>| set.iter().filter(|it| answers(it)).count() * 2 > set.len();
        if members.voters.iter().all(quorum) && !planted::recover_beside_a_quorum() {
            return refused(
                "a quorum of its replicas answers: nothing is lost, and the group elects by itself"
                    .to_owned(),
            );
        }
        error!(
            group = group.id(),
            replica,
            cut_off = ?members.all_voters(),
            "UNSAFE: this replica becomes the only voter; what it never received is lost"
        );
        let at = Replica { node_uuid: self.local.identity.node_uuid() };
        let done = self.local.host.make_sole_voter(group, at).await;
        done.map_err(|error| Status::internal(error.to_string()))?;
        Ok(RecoverReply { replica, refused: String::new() })
    }

    fn answers(&self, group: &Group, voter: ReplicaId) -> bool {
        let node: Option<NodeUuid> = group.node_of(voter);
        let silence = node.and_then(|node| self.cluster.peers.silence(&node));
        silence.is_some_and(|quiet| quiet < HEARD_WITHIN)
    }
}
