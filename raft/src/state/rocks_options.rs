//! How the state database is tuned (docs/rules/storage.md#one-memory-budget): one memory budget, split by code.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, Options, SliceTransform,
    WriteBufferManager,
};

use super::gaps::{self, GapLimits};
use crate::fatal::{self, OnFatal};

/// Options of a node's state database.
#[derive(Clone)]
pub struct StateOptions {
    /// The storage memory budget of the *whole* node; the state store takes its shares of it.
    pub memory_bytes: usize,
    /// The node's one block cache, for the log to share. Not strict, which the rocksdb crate does not
    /// offer: blocks in use may exceed it.
    pub block_cache: Cache,
    /// Told once that the database cannot be written.
    pub on_fatal: OnFatal,
    /// Only tests have others.
    pub(super) gaps: GapLimits,
}

/// Largest memtable: beyond it a flush takes longer than it saves.
const MEMTABLE_BYTES_MAX: usize = 64 << 20;
/// Below this RocksDB spends its time on tiny files.
const MEMTABLE_BYTES_MIN: usize = 1 << 20;
/// One being filled, the others on their way to disk.
const MEMTABLES: usize = 4;
/// Shard, generation and table: what every scan has in common.
const PREFIX_BYTES: usize = 7;
/// One lookup in a hundred reads a block in vain.
const BLOOM_BITS: f64 = 10.0;
/// Share of a memtable that filters its keys: most lookups of a write are for keys that are not there.
const MEMTABLE_BLOOM_RATIO: f64 = 0.02;
/// Values from here on live in blob files, so that compaction does not rewrite them.
const BLOB_BYTES_MIN: u64 = 16 << 10;
const BLOB_FILE_BYTES: u64 = 256 << 20;
/// The oldest quarter of the blob files is collected as it fills with garbage.
const BLOB_GC_AGE: f64 = 0.25;
/// A file is compacted at once if so many of so many records in a row are tombstones: files were deleted in a mass.
/// Requests that are forgotten in order leave fewer, and must not make every flush rewrite a level.
const TOMBSTONES_MAX: usize = 16 << 10;
const TOMBSTONE_WINDOW: usize = 20 << 10;
const BLOCK_BYTES: usize = 16 << 10;
/// Parts of filters and indexes. A whole filter grows with its file, and one that is larger than a shard of the block
/// cache would be read anew by every lookup.
const PART_BYTES: usize = 16 << 10;
/// Flush and compaction must go on side by side; more would starve a two-core machine.
const BACKGROUND_JOBS: i32 = 2;
/// Only generation flips are logged: a few dozen bytes each.
const WAL_BYTES_MAX: u64 = 8 << 20;
/// Spreads writeback, so that a flush does not end in one long sync.
const BYTES_PER_SYNC: u64 = 1 << 20;
/// Informational logs of RocksDB kept on disk.
const INFO_LOGS_KEPT: usize = 2;

impl StateOptions {
    /// The options of production, with `memory_bytes` for the whole node's storage.
    pub fn new(memory_bytes: usize) -> Self {
        let block_cache = Cache::new_lru_cache(memory_bytes / 8 * 3);
        Self { memory_bytes, block_cache, on_fatal: fatal::abort(), gaps: gaps::LIMITS }
    }

    fn memtable_budget(&self) -> usize {
        (self.memory_bytes / 4).max(MEMTABLES * MEMTABLE_BYTES_MIN)
    }

    pub(super) fn database(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.create_missing_column_families(true);
        options.set_write_buffer_manager(&WriteBufferManager::new_write_buffer_manager(
            self.memtable_budget(),
            false,
        ));
        options.set_max_background_jobs(BACKGROUND_JOBS);
        options.set_max_total_wal_size(WAL_BYTES_MAX);
        options.set_bytes_per_sync(BYTES_PER_SYNC);
        options.set_keep_log_file_num(INFO_LOGS_KEPT);
        options
    }

    pub(super) fn data(&self) -> Options {
        let mut options = Options::default();
        let memtable = (self.memtable_budget() / MEMTABLES).clamp(MEMTABLE_BYTES_MIN, MEMTABLE_BYTES_MAX);
        options.set_write_buffer_size(memtable);
        options.set_max_write_buffer_number(MEMTABLES as i32);
        options.set_level_compaction_dynamic_level_bytes(true);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(PREFIX_BYTES));
        options.set_memtable_prefix_bloom_ratio(MEMTABLE_BLOOM_RATIO);
        options.set_memtable_whole_key_filtering(true);
        options.add_compact_on_deletion_collector_factory(TOMBSTONE_WINDOW, TOMBSTONES_MAX, 0.0);
        options.set_enable_blob_files(true);
        options.set_min_blob_size(BLOB_BYTES_MIN);
        options.set_blob_file_size(BLOB_FILE_BYTES);
        options.set_blob_compression_type(DBCompressionType::Lz4);
        options.set_enable_blob_gc(true);
        options.set_blob_gc_age_cutoff(BLOB_GC_AGE);
        options.set_block_based_table_factory(&self.table());
        options
    }

    pub(super) fn meta(&self) -> Options {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&self.block_cache);
        let mut options = Options::default();
        options.set_block_based_table_factory(&table);
        options
    }

    /// Files made for ingestion: as `data`, but RocksDB cannot put blobs or bounds on them.
    pub(super) fn staged(&self) -> Options {
        let mut options = Options::default();
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_prefix_extractor(SliceTransform::create_fixed_prefix(PREFIX_BYTES));
        options.set_block_based_table_factory(&layout());
        options
    }

    fn table(&self) -> BlockBasedOptions {
        let mut table = layout();
        table.set_block_cache(&self.block_cache);
        table.set_cache_index_and_filter_blocks(true);
        table.set_pin_l0_filter_and_index_blocks_in_cache(true);
        table.set_pin_top_level_index_and_filter(true);
        table
    }
}

/// How a table lies in its file.
fn layout() -> BlockBasedOptions {
    let mut table = BlockBasedOptions::default();
    table.set_bloom_filter(BLOOM_BITS, false);
    table.set_block_size(BLOCK_BYTES);
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_metadata_block_size(PART_BYTES);
    table
}
