//! Requests that other nodes have for this node's replicas: the way in to openraft.

mod arrivals;
pub(super) mod guard;
pub(super) mod hosted;
pub(super) mod link;
pub(super) mod port;
mod receive_error;
pub(super) mod snapshot;
