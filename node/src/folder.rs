//! A node's data folder, opened: `log` (synced), `state` (unsynced), `blobs` (chunks), and what the log keeps of
//! the node itself. Nothing here starts a task.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rowhouse_raft::log_store::{LogEngine, LogOptions, RocksLog};
use rowhouse_raft::state::{RocksState, StateOptions, StateStore};

use crate::Error;
use crate::blobs::{BlobOptions, BlobStore};
use crate::clock::{Clock, TimeSource};
use crate::identity::Identity;
use crate::metrics::SyncDurations;

/// The stores of one data folder, and the records read from them.
pub struct Folder {
    pub engine: Arc<dyn LogEngine>,
    pub state: Arc<StateStore>,
    pub identity: Arc<Identity>,
    pub clock: Arc<Clock>,
    pub blobs: Arc<BlobStore>,
    pub syncs: Arc<SyncDurations>,
}

impl Folder {
    /// Opens everything below `data_dir` on a thread where blocking is fine. A new folder becomes one of the
    /// `homeserver` key; a folder of another key or format is refused.
    pub async fn open(data_dir: PathBuf, memory_bytes: usize, homeserver: [u8; 32]) -> Result<Self, Error> {
        let opened = tokio::task::spawn_blocking(move || {
            let syncs = Arc::new(SyncDurations::new());
            let (engine, state) = open_stores(&data_dir, memory_bytes, Arc::clone(&syncs))?;
            let identity = Arc::new(Identity::open(Arc::clone(&engine), homeserver)?);
            let clock = Arc::new(Clock::open(Arc::clone(&engine), TimeSource::system())?);
            let blobs = open_blobs(&data_dir, Arc::clone(&clock))?;
            Ok(Self { engine, state, identity, clock, blobs, syncs })
        });
        opened.await.map_err(|_| Error::Stopped)?
    }
}

/// The two stores, and the memory they share (docs/rules/storage.md#one-memory-budget). The memtables of each get a
/// quarter, the one block cache three eighths, the log's tail an eighth.
fn open_stores(
    data_dir: &Path,
    memory_bytes: usize,
    syncs: Arc<SyncDurations>,
) -> Result<(Arc<dyn LogEngine>, Arc<StateStore>), Error> {
    let (mut of_log, of_state) = (LogOptions::new(memory_bytes / 4), StateOptions::new(memory_bytes));
    of_log.block_cache = of_state.block_cache.clone();
    of_log.sync_timer = Some(syncs);
    let engine = RocksLog::open(&data_dir.join("log"), &of_log).map_err(of_folder)?;
    let state = RocksState::open(&data_dir.join("state"), of_state).map_err(of_folder)?;
    let store = StateStore::open(Arc::new(state), data_dir.join("staging")).map_err(of_folder)?;
    Ok((Arc::new(engine), store))
}

/// The chunks. They are dated by the same clock as what sweeps them.
fn open_blobs(data_dir: &Path, clock: Arc<Clock>) -> Result<Arc<BlobStore>, Error> {
    let options = BlobOptions { now_ms: Arc::new(move || clock.physical_ms()), ..BlobOptions::default() };
    BlobStore::open(&data_dir.join("blobs"), options)
}

/// One error for a folder of another format, whichever store notices first.
fn of_folder(error: rowhouse_raft::Error) -> Error {
    match error {
        rowhouse_raft::Error::Version { what, found, known } => Error::FormatVersion { what, found, known },
        other => other.into(),
    }
}
