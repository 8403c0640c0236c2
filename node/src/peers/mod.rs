//! The other nodes: the cluster map as this node knows it, where they are reached, how they are.

mod addresses;
mod cluster;
mod map_watch;
mod monitor;
mod pool;
mod reports;
mod view;

pub use addresses::Addresses;
pub use cluster::{Cluster, NodeDirectory};
pub use map_watch::MapWatch;
pub use monitor::Monitor;
pub use pool::{Pool, call};
pub use reports::{Peers, Report};
pub use view::ClusterView;
