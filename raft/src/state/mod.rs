//! The state store: every group's applied state in one unsynced database, reconciled with the synced
//! log at open (docs/rules/storage.md).

mod applied;
mod apply;
mod check;
mod engine;
mod gap_search;
mod gaps;
mod generation;
mod group_state;
mod handle;
mod rocks;
mod rocks_options;
mod rocks_scan;
mod snapshot_build;
mod snapshot_chunks;
mod snapshot_data;
mod snapshot_frame;
mod snapshot_install;
mod snapshot_meta;
mod snapshot_spool;
mod staged_file;
mod store;
#[cfg(test)]
mod tests;
mod txn;

pub use applied::Applied;
pub use engine::{ScanOrder, StateBatch, StateEngine, StateRead, StateRecord, StateRecords, Visit};
pub use group_state::GroupState;
pub use handle::StateHandle;
pub use rocks::RocksState;
pub use rocks_options::StateOptions;
pub use snapshot_build::SnapshotBuilder;
pub use snapshot_chunks::SnapshotChunks;
pub use snapshot_data::{SnapshotData, SnapshotSink};
pub use store::StateStore;
pub use txn::{Txn, View, Writes};
