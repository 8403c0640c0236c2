//! The chunk store's options, and those of its index, with the reason of each value.

use std::sync::Arc;

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};
use rowhouse_raft::runtime::Runtime as _;
use rowhouse_raft::{OnFatal, fatal};

use super::record::CHUNK_BYTES;
use crate::Runtime;

/// Scanned at worst after a crash, given back or compacted at once; a thousand files are 256 GiB.
const SEGMENT_BYTES: u64 = 256 * 1024 * 1024;
/// Some four writes: the next ones gather while one is synced.
const QUEUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// An entry is 61 bytes: 8 MiB hold those of more than 100 GiB of chunks.
const MEMTABLE_BYTES: usize = 8 << 20;
/// Upper levels and filters; the rest is the page cache's business.
const BLOCK_CACHE_BYTES: usize = 8 << 20;
/// One lookup in a hundred reads a block in vain: every put looks up whether it replaces a chunk.
const BLOOM_BITS: f64 = 10.0;
/// Files of the index held open.
const OPEN_FILES_MAX: i32 = 64;
/// RocksDB's own diary, kept short.
const INFO_LOG_BYTES: usize = 1 << 20;
const INFO_LOG_FILES: usize = 2;

/// A step that the writer just took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskStep {
    Append,
    Sync,
    Truncate,
}

/// Runs in the writer after each step. Tests block the disk or fail it with this.
pub type AfterDisk = Arc<dyn Fn(DiskStep) -> std::io::Result<()> + Send + Sync>;

/// How a store is opened. The default is what a node uses.
#[derive(Clone)]
pub struct BlobOptions {
    /// From this length on a segment is sealed and a new one begun.
    pub segment_bytes: u64,
    /// Bytes that may wait for the writer; further puts wait for room.
    pub queue_bytes_max: usize,
    /// Past the page cache, where the file system takes such writes.
    pub direct_writes: bool,
    /// Told once that chunks cannot be written.
    pub on_fatal: OnFatal,
    /// Milliseconds since the Unix epoch.
    pub now_ms: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Called after each step of the writer on the disk, so that tests can fail it.
    pub after_disk: Option<AfterDisk>,
}

impl Default for BlobOptions {
    fn default() -> Self {
        Self {
            segment_bytes: SEGMENT_BYTES,
            queue_bytes_max: QUEUE_BYTES_MAX,
            direct_writes: true,
            on_fatal: fatal::abort(),
            now_ms: Arc::new(|| Runtime::wall_us() / 1000),
            after_disk: None,
        }
    }
}

impl BlobOptions {
    /// Permits of the queue: at least one chunk must fit.
    pub(super) fn queue_permits(&self) -> u32 {
        u32::try_from(self.queue_bytes_max.max(2 * CHUNK_BYTES)).unwrap_or(u32::MAX / 2)
    }
}

/// RocksDB's options for the index.
pub(super) fn index() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.set_paranoid_checks(true);
    options.set_write_buffer_size(MEMTABLE_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    // Entries behind a damaged record are found again in the segments.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(BLOCK_CACHE_BYTES));
    table.set_cache_index_and_filter_blocks(true);
    table.set_bloom_filter(BLOOM_BITS, false);
    options.set_block_based_table_factory(&table);
    options.set_max_open_files(OPEN_FILES_MAX);
    options.set_log_level(LogLevel::Warn);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_keep_log_file_num(INFO_LOG_FILES);
    options.set_stats_dump_period_sec(0);
    options
}
