//! `RocksLog`: the node's log in one RocksDB with one column family.
//!
//! Reads come from any thread; every write goes through the one writer thread (`writer.rs`).

use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use bytes::Bytes;
use rocksdb::{DB, ReadOptions, WriteOptions};

use super::engine::{LogEngine, LogOp, LogRecord, MetaKind, OnDurable};
use super::keys;
use super::metrics::LogMetrics;
use super::options::{LogOptions, failed, rocks};
use super::purge::Floors;
use super::queue::{Queue, Submission};
use super::scan::{last_index, metas, recorded_floors};
use super::sync_progress::SyncProgress;
use super::writer::Writer;
use crate::ReplicaId;
use crate::error::Error;
use crate::runtime::start_thread;

/// Raised when the key layout or a record changes in a way an older program would misread.
const FORMAT_VERSION: u32 = 2;
const FORMAT_RECORD: &str = "format_version";
const WHAT: &str = "the Raft log";

/// The log of every replica on this node, in one database. Dropping it waits until what was submitted is
/// written.
pub struct RocksLog {
    db: Arc<DB>,
    queue: Arc<Queue>,
    metrics: Arc<LogMetrics>,
    progress: Arc<SyncProgress>,
    writer: Option<JoinHandle<()>>,
}

impl RocksLog {
    /// Opens the log in `dir`, or makes a new one. A log that does not open is not repaired and not
    /// replaced: its replicas are lost, and only the operator may say so.
    pub fn open(dir: &Path, options: &LogOptions) -> Result<Self, Error> {
        let floors = Arc::new(Floors::default());
        let db = DB::open(&rocks(options, floors.clone()), dir).map_err(|error| lost(dir, &error))?;
        check_format(&db)?;
        // What recovery brought back is durable, so the floors it holds may be acted on.
        floors.raise(&recorded_floors(&db)?.into_iter().collect::<Vec<_>>());
        let db = Arc::new(db);
        let (queue, metrics) = (Arc::new(Queue::default()), Arc::new(LogMetrics::default()));
        let progress = Arc::new(SyncProgress::default());
        let told = (metrics.clone(), progress.clone());
        let writer = Writer::new(db.clone(), queue.clone(), floors, told, options.clone());
        let writer = start_thread("raft-log", move || writer.run())
            .map_err(|error| Error::io("starting the log writer", error))?;
        Ok(Self { db, queue, metrics, progress, writer: Some(writer) })
    }

    /// Compacts everything: purged entries are gone when it returns. For tests and operators.
    pub fn compact(&self) {
        self.db.compact_range(None::<&[u8]>, None::<&[u8]>);
    }

    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.db.get(key).map_err(|error| failed(WHAT, error))?;
        Ok(value.map(Bytes::from))
    }
}

impl Drop for RocksLog {
    /// Waits until what was submitted is written.
    fn drop(&mut self) {
        self.queue.close();
        let Some(writer) = self.writer.take() else { return };
        // The last handle may go with a callback, on the writer itself.
        if writer.thread().id() != std::thread::current().id() {
            // Had it panicked, it would have told.
            drop(writer.join());
        }
    }
}

impl LogEngine for RocksLog {
    fn submit(&self, ops: Vec<LogOp>, sync: bool, on_durable: OnDurable) {
        let submission = Submission::new(ops, sync, on_durable);
        self.metrics.queued(submission.bytes);
        if submission.sync {
            self.progress.submissions.begin();
        }
        self.queue.push(submission);
    }

    fn read(
        &self,
        replica: ReplicaId,
        from: u64,
        to: u64,
        bytes_max: usize,
    ) -> Result<Vec<LogRecord>, Error> {
        let mut records = Vec::new();
        if from >= to {
            return Ok(records);
        }
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(keys::entry(replica, from));
        options.set_iterate_upper_bound(keys::entry(replica, to));
        // Only a follower far behind reads here, everything once: it must not empty the node's cache.
        options.fill_cache(false);
        let mut cursor = self.db.raw_iterator_opt(options);
        cursor.seek_to_first();
        let mut bytes = 0;
        while let Some((key, value)) = cursor.item() {
            bytes += value.len();
            if bytes > bytes_max && !records.is_empty() {
                break;
            }
            let (_, index) =
                keys::parse_entry(key).ok_or_else(|| Error::corrupt(WHAT, "a key of no entry"))?;
            records.push(LogRecord { index, bytes: Bytes::copy_from_slice(value) });
            cursor.next();
        }
        cursor.status().map_err(|error| failed("reading the Raft log", error))?;
        Ok(records)
    }

    fn last_index(&self, replica: ReplicaId) -> Result<Option<u64>, Error> {
        last_index(&self.db, replica)
    }

    fn meta(&self, replica: ReplicaId, kind: MetaKind) -> Result<Option<Bytes>, Error> {
        self.get(&keys::meta(replica, kind))
    }

    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, Error> {
        metas(&self.db, MetaKind::ReplicaState)
    }

    fn node_record(&self, key: &str) -> Result<Option<Bytes>, Error> {
        self.get(&keys::node(key))
    }

    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.progress.records.begin();
        let put = self.db.put_opt(keys::node(key), value, &options);
        self.progress.records.end(1);
        put.map_err(|error| failed("writing a node record", error))
    }

    fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    fn progress(&self) -> &SyncProgress {
        &self.progress
    }
}

/// Marks a new log with the format version; refuses any other one.
fn check_format(db: &DB) -> Result<(), Error> {
    let key = keys::node(FORMAT_RECORD);
    match db.get(&key).map_err(|error| failed(WHAT, error))? {
        Some(value) => match <[u8; 4]>::try_from(value.as_slice()).map(u32::from_be_bytes) {
            Ok(FORMAT_VERSION) => Ok(()),
            Ok(found) => Err(Error::Version { what: WHAT, found, known: FORMAT_VERSION }),
            Err(_) => Err(Error::corrupt(WHAT, "its format record is not a number")),
        },
        None => {
            let mut cursor = db.raw_iterator();
            cursor.seek_to_first();
            if cursor.valid() {
                return Err(Error::corrupt(WHAT, "it holds records but no format version"));
            }
            let mut options = WriteOptions::default();
            options.set_sync(true);
            db.put_opt(key, FORMAT_VERSION.to_be_bytes(), &options).map_err(|error| failed(WHAT, error))
        }
    }
}

fn lost(dir: &Path, error: &rocksdb::Error) -> Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::corrupt(
            WHAT,
            format_args!(
                "{error}. Every replica whose log lies in {} is lost: opening it shortened could break \
                 promises this node made. Remove the node from the cluster and add it with an empty disk",
                dir.display()
            ),
        ),
        _ => Error::io("opening the Raft log", std::io::Error::other(format!("{}: {error}", dir.display()))),
    }
}
