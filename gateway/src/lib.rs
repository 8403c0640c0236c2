//! The HTTP face of the cluster. It speaks the Pubky client API on plain HTTP and Pubky TLS, and turns each request
//! into one RPC to the leader of its user's shard.
//!
//! It keeps nothing on disk, and decides nothing that a shard must decide. The shard checks session, capabilities,
//! quota and existence in the RPC of the read or write. Deliberately absent: Raft, RocksDB, and any cache of sessions
//! or entries.

mod address_counts;
mod admin;
mod announce;
mod app;
mod body;
mod cluster;
mod conditions;
mod config;
mod content_type;
mod cookie;
mod credentials;
mod date;
mod dav;
mod error;
mod escape;
mod etag;
mod feed;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod layers;
mod limits;
mod listen;
mod locks;
mod metrics;
mod objects;
pub mod operator;
pub mod overview;
mod reference_metrics;
mod respond;
mod router;
mod routes;
mod session;
mod settings;
mod signup;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use config::GatewayConfig;
pub use error::Error;
pub use gateway::Gateway;
pub use limits::RateLimit;
pub use settings::{AdminConfig, GatewaySection, Limits};
