//! The consensus engine: many Raft groups on one node, over one log, one state store and few connections.
//!
//! It knows nothing of Pubky: a command is opaque bytes, a `Machine` applies it. Everything is generic
//! over openraft's `AsyncRuntime`; only `runtime/` touches tokio's scheduler, clock or threads, so that
//! the same code runs in deterministic simulation.

#![warn(missing_docs)]

pub mod codec;
mod config;
mod entry_spans;
mod error;
pub mod fatal;
mod group;
mod host;
mod lease;
pub mod lock;
pub mod log_store;
mod machine;
pub mod planted;
pub mod runtime;
#[cfg(feature = "sim")]
pub mod sim;
pub mod state;
pub mod transport;
mod types;

pub use config::{ELECTION_MAX_MS_MIN, RaftTiming};
pub use error::{Error, ProposeError, ReadError};
pub use fatal::OnFatal;
pub use group::{CheckPace, Follower, Group, GroupRole, GroupStatus, Heir, Members};
pub use host::{GroupSpec, Host, HostOptions, LogKeep};
pub use lease::{LEASE_MARGIN, LeaseTerms};
pub use machine::{EntryContext, Machine};
pub use types::{Envelope, GroupId, RaftTypes, Replica, ReplicaId, Reply, StateCheck};
