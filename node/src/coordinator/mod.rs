//! The work of the meta group's leader for the cluster: it places shards, replaces what is lost, spreads replicas and
//! leaders, lets go of silent gateways and authors the homeserver's packet.
//!
//! It remembers only when it last heard of each gateway, and for how many rounds learners kept up. Every decision is a
//! log entry, or an idempotent call that carries the leader's term. So a coordinator that is lost costs nothing.

mod actor;
mod author;
mod balance;
mod carry_out;
mod generation;
mod packet;
mod packet_log;
mod presence;
mod progress;
mod propose;
mod publish;
mod reach;
mod record;
mod wishes;

pub use actor::Coordinator;
pub use author::Author;
pub use propose::propose;
pub use record::{Known, since_s};
