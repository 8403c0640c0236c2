//! The work of the meta group's leader for the cluster: it places shards, spreads leaders, lets go of silent gateways
//! and authors the homeserver's packet.
//!
//! Its only state is when it last heard of each gateway. Every decision is a log entry, or an idempotent call that
//! carries the leader's term. So a coordinator that is lost costs nothing.

mod actor;
mod author;
mod balance;
mod generation;
mod packet;
mod placement;
mod presence;
mod propose;
mod publisher;

pub use actor::Coordinator;
pub use author::Author;
pub use propose::propose;
