//! How the log database is set up, and why.

use std::sync::Arc;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};

use super::metrics::SyncTimer;
use super::purge::{Floors, PurgeFilterFactory};
use crate::error::Error;
use crate::fatal::{self, OnFatal};
use crate::planted::PlantedInLog;

const MIB: usize = 1024 * 1024;
/// One being filled, the others on their way to disk.
const WRITE_BUFFERS: usize = 4;
/// Below this a node flushes all the time; above it recovery takes long.
const WRITE_BUFFER_BYTES: (usize, usize) = (MIB, 64 * MIB);
/// Replayed at every start, so bounded; small enough for a laptop, large enough not to force flushes.
const WAL_BYTES: (usize, usize) = (64 * MIB, 512 * MIB);
/// Entries are read from disk only by followers far behind: no share of the cache is worth more.
const BLOCK_CACHE_BYTES: usize = 4 * MIB;
/// Keeps the kernel from writing the whole log at the next sync.
const WAL_BYTES_PER_SYNC: u64 = MIB as u64;
/// One flush, one compaction: the log shares two cores with everything else.
const BACKGROUND_JOBS: i32 = 2;
/// Files held open: more than the live ones, far below the usual limit of 1024.
const OPEN_FILES_MAX: i32 = 256;
/// RocksDB's own diary, kept short.
const INFO_LOG_BYTES: usize = MIB;
const INFO_LOG_FILES: usize = 2;

/// Runs in the writer before each write. Tests block the disk or fail it with this.
pub type BeforeWrite = Arc<dyn Fn() -> std::io::Result<()> + Send + Sync>;

/// How the log database is opened.
#[derive(Clone)]
pub struct LogOptions {
    /// Memory for memtables: a quarter of the node's budget (docs/rules/storage.md#one-memory-budget).
    pub memory_bytes: usize,
    /// A small one of its own, unless the node shares one.
    pub block_cache: Cache,
    /// Told once that the log cannot be written.
    pub on_fatal: OnFatal,
    /// Tests only.
    pub before_write: Option<BeforeWrite>,
    /// Measures syncs.
    pub sync_timer: Option<Arc<dyn SyncTimer>>,
    /// Bugs that a test must find.
    pub planted: PlantedInLog,
}

impl LogOptions {
    /// The options of production, with `memory_bytes` for memtables.
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            memory_bytes,
            block_cache: Cache::new_lru_cache(BLOCK_CACHE_BYTES),
            on_fatal: fatal::abort(),
            before_write: None,
            sync_timer: None,
            planted: PlantedInLog::from_env(),
        }
    }
}

pub(super) fn rocks(options: &LogOptions, floors: Arc<Floors>) -> Options {
    let buffer = (options.memory_bytes / WRITE_BUFFERS).clamp(WRITE_BUFFER_BYTES.0, WRITE_BUFFER_BYTES.1);
    let wal = options.memory_bytes.saturating_mul(2).clamp(WAL_BYTES.0, WAL_BYTES.1);
    let mut rocks = Options::default();
    rocks.create_if_missing(true);
    rocks.set_paranoid_checks(true);

    rocks.set_write_buffer_size(buffer);
    rocks.set_max_write_buffer_number(WRITE_BUFFERS as i32);
    rocks.set_min_write_buffer_number_to_merge(1);
    rocks.set_level_zero_file_num_compaction_trigger(4);
    rocks.set_compression_type(DBCompressionType::Lz4);
    rocks.set_compaction_filter_factory(PurgeFilterFactory(floors));

    // PointInTime would drop acknowledged entries and votes behind a damaged record without a word.
    rocks.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    rocks.set_recycle_log_file_num(0);
    rocks.set_track_and_verify_wals_in_manifest(true);
    rocks.set_max_total_wal_size(wal as u64);
    rocks.set_wal_bytes_per_sync(WAL_BYTES_PER_SYNC);
    rocks.set_manual_wal_flush(false);
    rocks.set_enable_pipelined_write(false);

    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&options.block_cache);
    table.set_cache_index_and_filter_blocks(true);
    rocks.set_block_based_table_factory(&table);

    rocks.set_max_background_jobs(BACKGROUND_JOBS);
    rocks.set_max_open_files(OPEN_FILES_MAX);
    rocks.set_log_level(LogLevel::Warn);
    rocks.set_max_log_file_size(INFO_LOG_BYTES);
    rocks.set_keep_log_file_num(INFO_LOG_FILES);
    rocks.set_stats_dump_period_sec(0);
    rocks
}

/// RocksDB's errors are text.
pub(super) fn failed(what: &'static str, error: rocksdb::Error) -> Error {
    match error.kind() {
        rocksdb::ErrorKind::Corruption => Error::corrupt(what, error),
        _ => Error::io(what, std::io::Error::other(error)),
    }
}
