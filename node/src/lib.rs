//! The storage node: the Pubky state machine over many Raft groups, the meta group with its
//! coordinator, and the gRPC services gateways and peers call.
//!
//! On the request path there is no mailbox of ours: directory, admission, `Group::propose` or a lease
//! read, in the request's own task. Actors are the control plane only.

pub mod actor;
pub mod apply;
pub mod blobs;
mod check;
mod chronicle;
pub mod clock;
mod command_version;
mod config;
mod coordinator;
mod drain;
mod error;
mod feed;
mod flush;
mod folder;
mod health;
mod identity;
pub mod init;
mod local;
mod log_watch;
pub mod meta;
mod metrics;
pub mod network;
mod node;
mod objects;
mod parts;
mod peers;
pub mod placement;
mod planted;
mod proposal;
pub mod read;
mod republish;
mod service;
mod settings;
pub mod shards;
mod space;
pub mod state;

pub use config::NodeConfig;
pub use error::Error;
pub use node::Node;
pub use peers::ClusterView;
pub use rowhouse_raft::RaftTiming;
pub use settings::{AttemptLimits, NodeSection, ObjectLimits, PkarrConfig, PlacementConfig, StorageConfig};

/// The runtime of a node that is not simulated.
pub type Runtime = rowhouse_raft::runtime::Production;
/// One replica's hot-path handle.
pub type Group = rowhouse_raft::Group<Runtime>;
