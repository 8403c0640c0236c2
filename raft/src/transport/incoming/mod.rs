//! Requests that other nodes have for this node's replicas: the way in to openraft.

pub(super) mod guard;
pub(super) mod hosted;
pub(super) mod link;
pub(super) mod port;
pub(super) mod snapshot;
