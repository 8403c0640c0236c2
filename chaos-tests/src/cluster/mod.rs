//! A real cluster of real processes for one test: `rowhouse dev` on free ports, in its own folder.
//!
//! The parent process restarts what is killed; dropping the cluster ends everything.

mod disk;
mod file;
mod machines;
mod nodes;
mod place;
mod process;

pub use disk::{Disk, SmallDisk, mountable};
/// A signal to a process, see `Cluster::signal`.
pub use nix::sys::signal::Signal;

pub use file::{ClusterFile, Component, Kind};
pub use nodes::NodeClient;
pub use place::{Findable, Place};
pub use process::{Cluster, ClusterOptions, binary, wait_until};
