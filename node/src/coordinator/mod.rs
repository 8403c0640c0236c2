//! What the meta group's leader does for the cluster: places shards, spreads leaders, lets go of silent
//! gateways, authors the homeserver's packet.
//!
//! It holds no state of its own but when it last heard of each gateway: every decision is a log entry or
//! an idempotent call that carries its term, so losing it costs nothing.

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
