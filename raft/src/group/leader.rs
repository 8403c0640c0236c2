//! The leader, as openraft's refusals name it.

use openraft::errors::ForwardToLeader;

use crate::RaftTypes;
use crate::runtime::Runtime;

/// The node that leads, as far as a refusal tells.
pub(super) fn leader_node<R: Runtime>(forward: &ForwardToLeader<RaftTypes<R>>) -> Option<[u8; 16]> {
    forward.leader_node.map(|replica| replica.node_uuid)
}
