//! The replicas of this node: the map says which ones shall run, and the supervisor starts and stops them.
//!
//! `plan` is pure; the supervisor carries it out and is the only one that starts and stops replicas.
//! Lookups on the request path go to `rowhouse_raft::Host`, without a lock.

mod plan;
mod problems;
mod replica;
mod start;
mod supervisor;

pub use plan::{Desired, Step, births, desired, plan};
pub use problems::Problems;
pub use replica::is_hopeless;
pub use start::start_group;
pub use supervisor::ShardSupervisor;
