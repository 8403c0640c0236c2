//! The steps that bring the cluster from what is observed to what is wanted. Each is safe to repeat, and refused where
//! the cluster is not as it was when the step was chosen.

use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{BeginMove, EndMove, MarkNode, Rebalance, RemoveNode};
use rowhouse_proto::wire::meta::{MembersId, ReplicaInfo};

use crate::identity::NodeUuid;

/// One thing to do; at most one a group and round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A node was not heard of for a while, or is heard of again.
    Mark { node: NodeUuid, away: bool },
    /// A lost node holds nothing any more.
    Remove { node: NodeUuid },
    /// Replicas are spread as evenly as the operator wished.
    EndRebalance,
    /// A replica shall take another's place; `remove` is 0 if the group gets one more, `to_node` is `None` if it gets one
    /// less.
    Begin { group: u32, epoch: u64, remove: u64, to_node: Option<NodeUuid>, reason: String },
    /// The members are as the move wanted them, or it is given up and they are as before. `add` is 0 if it added none.
    End { group: u32, add: u64, done: bool },
    /// The leader's node changes the group's members.
    Change(Change),
    /// Another replica shall lead.
    Transfer { group: u32, leader: NodeUuid, to_replica: u64 },
}

/// A change of a group's members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub group: u32,
    /// The node that leads the group.
    pub leader: NodeUuid,
    /// The members that it begins from.
    pub expect: MembersId,
    pub voters: Vec<ReplicaInfo>,
    pub learners: Vec<ReplicaInfo>,
    /// What it does, for the log.
    pub what: &'static str,
}

impl Step {
    /// Its kind in a word or two, for traces.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mark { .. } => "mark node",
            Self::Remove { .. } => "remove node",
            Self::EndRebalance => "end rebalance",
            Self::Begin { .. } => "begin move",
            Self::End { .. } => "end move",
            Self::Change(_) => "change members",
            Self::Transfer { .. } => "transfer leadership",
        }
    }

    /// The entry that carries the step out; `None`: it is a call.
    pub fn command(&self) -> Option<Body> {
        let bytes = |node: &NodeUuid| node.to_vec().into();
        Some(match self {
            Step::Mark { node, away } => Body::MarkNode(MarkNode { node_uuid: bytes(node), away: *away }),
            Step::Remove { node } => Body::RemoveNode(RemoveNode { node_uuid: bytes(node) }),
            Step::EndRebalance => Body::Rebalance(Rebalance { on: false }),
            Step::Begin { group, epoch, remove, to_node, reason } => Body::BeginMove(BeginMove {
                group: *group,
                epoch: *epoch,
                remove: *remove,
                to_node: to_node.as_ref().map(bytes).unwrap_or_default(),
                reason: reason.clone(),
            }),
            Step::End { group, add, done } => {
                Body::EndMove(EndMove { group: *group, add: *add, done: *done })
            }
            Step::Change(_) | Step::Transfer { .. } => return None,
        })
    }
}
