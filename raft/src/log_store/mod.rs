//! The log of every group on this node: one synced store, one writer, one fsync for all
//! (consensus.md §2).

mod engine;

pub use engine::{LogEngine, LogOp, LogRecord, MetaKind};
