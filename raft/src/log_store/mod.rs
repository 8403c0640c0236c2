//! The log of every group on this node: one synced store, one writer, one fsync for all
//! (docs/rules/storage.md#one-log-for-all-groups).
//!
//! `LogStore` is one replica's log as openraft sees it; below it a `LogEngine` (`RocksLog`, or
//! `LossyLog` in simulation) holds the logs of all of them. A `LogHandle` is what the rest of this
//! crate asks of a running log.

mod answer;
mod budget;
mod durability;
mod engine;
mod handle;
mod keys;
mod metrics;
mod opening;
mod options;
mod positions;
mod purge;
mod queue;
mod reader;
mod replica;
mod replica_log;
mod rocks;
mod scan;
mod sole_voter;
mod store;
mod sync_progress;
mod tail;
mod volume;
mod writer;

pub use budget::TailBudget;
pub use engine::{LogEngine, LogOp, LogRecord, MetaKind, OnDurable};
pub use handle::LogHandle;
pub use metrics::{LogMetrics, SyncTimer};
pub use options::{BeforeWrite, LogOptions};
#[cfg(feature = "sim")]
pub(crate) use queue::Submission;
pub use reader::LogReader;
pub use replica::{ReplicaPhase, ReplicaRecord};
pub use rocks::RocksLog;
pub use sole_voter::make_sole_voter;
pub use store::LogStore;
pub use sync_progress::SyncProgress;
pub(crate) use volume::Volume;
