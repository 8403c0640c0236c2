//! The state store: every group's applied state in one unsynced database, reconciled with the synced
//! log at open (consensus.md §2, R1–R8).

mod engine;
mod txn;

pub use engine::{ScanOrder, StateBatch, StateEngine, StateRead};
pub use txn::{Txn, View};
