//! The store beneath the log: `rocks` for production, `lossy` (in memory, loses what was not synced at
//! a crash) for simulation. raft-engine could be a third.

use bytes::Bytes;

use crate::ReplicaId;
use crate::error::Error;

/// One-value records of a replica beside its entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum MetaKind {
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
    pub index: u64,
    pub bytes: Bytes,
}

/// One step of the node's single log. Steps of a replica are never reordered.
#[derive(Debug)]
pub enum LogOp {
    /// Records with rising indexes, following what is there.
    Append { replica: ReplicaId, records: Vec<LogRecord> },
    /// Removes every record with an index above `last` (all, if `None`).
    Truncate { replica: ReplicaId, last: Option<u64> },
    /// Writes a meta record (`None` removes it).
    Meta { replica: ReplicaId, kind: MetaKind, value: Option<Bytes> },
    /// Records up to `upto` may go; the LastPurged meta is already submitted before this.
    Purge { replica: ReplicaId, upto: u64 },
}

/// A durable log for many replicas.


/// A durable log for many replicas, with group commit across them.
pub trait LogEngine: Send + Sync + 'static {
    /// Queues `ops` as one unit behind everything submitted before; never blocks on the disk.
    /// `on_durable` is called from the writer, in submission order, once they are synced.
    /// With `sync` false the writer may answer before a sync (committed ids).
    fn submit(&self, ops: Vec<LogOp>, sync: bool, on_durable: Box<dyn FnOnce(Result<(), Error>) + Send>);

    /// Records `from <= index < to`, a prefix of them if they pass `bytes_max`, never empty if one exists.
    /// Sees only what the writer has written: callers keep newer entries in memory.
    fn read(&self, replica: ReplicaId, from: u64, to: u64, bytes_max: usize) -> Result<Vec<LogRecord>, Error>;

    /// Index of the last record written.
    fn last_index(&self, replica: ReplicaId) -> Result<Option<u64>, Error>;

    fn meta(&self, replica: ReplicaId, kind: MetaKind) -> Result<Option<Bytes>, Error>;

    /// Every replica with a ReplicaState record.
    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, Error>;

    /// Node-wide records: node_uuid, cluster_id, HLC reservation, format version.
    fn node_record(&self, key: &str) -> Result<Option<Bytes>, Error>;

    /// Synced when it returns; not for hot paths.
    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), Error>;
}
