//! The store beneath the log: `rocks` for production, `lossy` (in memory, loses what was not synced at
//! a crash) for simulation. raft-engine could be a third.

use bytes::Bytes;
use rowhouse_proto::TraceContext;

use super::metrics::LogMetrics;
use super::sync_progress::SyncProgress;
use crate::ReplicaId;
use crate::error::Error;

/// One-value records of a replica beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetaKind {
    /// The vote given last.
    Vote = 1,
    /// Log id up to which entries are gone.
    LastPurged = 2,
    /// Log id known committed; written unsynced.
    Committed = 3,
    /// Group, and Initializing, Live or Tombstone.
    ReplicaState = 4,
}

/// An encoded entry at its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Index of the entry.
    pub index: u64,
    /// The entry as `codec::encode_entry` makes it.
    pub bytes: Bytes,
}

/// One step of the node's single log. Steps of a replica are never reordered.
#[derive(Clone, Debug)]
pub enum LogOp {
    /// Records with rising indexes, following what is there.
    Append {
        /// Whose log.
        replica: ReplicaId,
        /// In the order of their indexes, without a gap.
        records: Vec<LogRecord>,
        /// Of one entry among them whose trace is recorded, if there is one.
        trace: Option<TraceContext>,
    },
    /// Removes every record with an index above `last` (all, if `None`).
    Truncate {
        /// Whose log.
        replica: ReplicaId,
        /// Index of the last record that stays.
        last: Option<u64>,
    },
    /// Writes a meta record (`None` removes it).
    Meta {
        /// Whose log.
        replica: ReplicaId,
        /// Which record.
        kind: MetaKind,
        /// Its value, as `codec::seal` or `ReplicaRecord` makes it.
        value: Option<Bytes>,
    },
    /// Records up to `upto` may go; the LastPurged meta is already submitted before this.
    Purge {
        /// Whose log.
        replica: ReplicaId,
        /// Index of the last record that may go.
        upto: u64,
    },
}

impl LogOp {
    /// Of an entry that it appends, if one's trace is recorded.
    pub fn trace(&self) -> Option<TraceContext> {
        match self {
            Self::Append { trace, .. } => *trace,
            Self::Truncate { .. } | Self::Meta { .. } | Self::Purge { .. } => None,
        }
    }

    /// Bytes that the step counts for in a queue.
    pub fn bytes(&self) -> usize {
        // Keys, and the head of a record in the write-ahead log.
        const STEP_BYTES: usize = 32;
        match self {
            Self::Append { records, .. } => {
                records.iter().map(|record| STEP_BYTES + record.bytes.len()).sum::<usize>()
            }
            Self::Meta { value, .. } => STEP_BYTES + value.as_ref().map_or(0, Bytes::len),
            Self::Truncate { .. } | Self::Purge { .. } => STEP_BYTES,
        }
    }
}

/// Told once what became of a submission.
pub type OnDurable = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// A durable log for many replicas, with group commit across them.
pub trait LogEngine: Send + Sync + 'static {
    /// Queues `ops` as one unit behind everything submitted before; never blocks on the disk.
    ///
    /// `on_durable` is called in submission order once they are synced, never from within this call
    /// (the caller may hold a lock that `on_durable` takes). It is dropped uncalled only when the
    /// engine is gone.
    ///
    /// A submission with `sync` false (committed ids) wakes nobody: it is written with the next synced
    /// one, or when many have gathered, and its `on_durable` may come that late. Nothing may wait for it.
    ///
    /// The callers bound the queue: `TailBudget` admits appended bytes, and a replica has
    /// at most a vote, a truncation, a purge and a committed id beside them.
    fn submit(&self, ops: Vec<LogOp>, sync: bool, on_durable: OnDurable);

    /// Records `from <= index < to`, a prefix of them if they pass `bytes_max`, never empty if one exists.
    /// Sees only what the writer has written: callers keep newer entries in memory. Records that a
    /// purge released may still show.
    fn read(&self, replica: ReplicaId, from: u64, to: u64, bytes_max: usize)
    -> Result<Vec<LogRecord>, Error>;

    /// Index of the last record written.
    fn last_index(&self, replica: ReplicaId) -> Result<Option<u64>, Error>;

    /// The record of one kind as written last; `None` if there is none. Sees only what the writer has written.
    fn meta(&self, replica: ReplicaId, kind: MetaKind) -> Result<Option<Bytes>, Error>;

    /// Every replica with a ReplicaState record.
    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, Error>;

    /// Node-wide records: node_uuid, cluster_id, HLC reservation, format version.
    fn node_record(&self, key: &str) -> Result<Option<Bytes>, Error>;

    /// Synced when it returns; not for hot paths.
    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), Error>;

    /// Totals since the engine was opened.
    fn metrics(&self) -> &LogMetrics;

    /// How far its syncs are: of submissions, and of node records.
    fn progress(&self) -> &SyncProgress;
}
