//! Raft over few connections: frames of many groups on three lanes per node pair (consensus.md §3).

mod wire;

pub use wire::{Lane, LinkEvent, SnapshotParts, Wire};
