//! Requests of this node's replicas: openraft's way out. There is no retry of a request: openraft retries.

pub(super) mod append;
pub(super) mod holds;
pub(super) mod network;
mod pace;
mod pending;
mod permits;
mod route;
pub(super) mod shared;
mod snapshot;
