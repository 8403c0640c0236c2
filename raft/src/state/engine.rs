//! The store beneath the state machines: ordered bytes, atomic unsynced batches, explicit flush.
//! `rocks` and `memory` (which can lose unflushed writes) implement it.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use crate::error::Error;

/// Order of the keys in a scan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOrder {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Sees a key and its value, and says whether to go on.
pub type Visit<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>;

/// A key and its value.
pub type StateRecord = (Bytes, Bytes);

/// A read view of the whole store.
pub trait StateRead: Send + Sync {
    /// Value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits `from <= key < to` in order until the visitor breaks.
    fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error>;
}

/// A key range as it was when opened, read page by page in key order while the store moves on.
pub trait StateRecords: Send {
    /// Whole records, at least one if any is left, no more once they reach `bytes` together; empty at
    /// the end.
    fn page(&mut self, bytes: usize) -> Result<Vec<StateRecord>, Error>;

    /// Goes on with the first record at or behind `key`, which may have been read before.
    fn seek(&mut self, key: Bytes);
}

/// Puts and deletes that land together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// `None` deletes. In order; a later write of a key wins.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
}

/// A store of ordered bytes for all groups of a node.
pub trait StateEngine: StateRead + 'static {
    /// A consistent point in time.
    fn snapshot(&self) -> Box<dyn StateRead + '_>;

    /// `from <= key < to` as of this call. Whoever reads it keeps the range from being dropped.
    fn records(self: Arc<Self>, from: Bytes, to: Bytes) -> Box<dyn StateRecords>;

    /// Bytes of `from <= key < to`, about: a store may leave out what it holds in memory. Blocks on the disk.
    fn approximate_bytes(&self, from: &[u8], to: &[u8]) -> u64;

    /// Atomic, not durable until `flush`. Each table of a generation has one writer at a time.
    fn write(&self, batch: StateBatch) -> Result<(), Error>;

    /// Everything written before the call is durable when it returns.
    fn flush(&self) -> Result<(), Error>;

    /// Writes meta records (generations, format), which lie apart from the data: atomic and durable
    /// when it returns.
    fn write_synced(&self, batch: StateBatch) -> Result<(), Error>;

    /// Value of a meta record.
    fn meta(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Every meta record whose key begins with `prefix`.
    fn metas(&self, prefix: &[u8]) -> Result<Vec<StateRecord>, Error>;

    /// Removes a whole key range that nobody reads any more, cheaply; a crash may bring parts back.
    fn drop_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error>;

    /// Takes in sorted records of a fresh range, durably; `staging` may be used for files.
    fn ingest(
        &self,
        staging: &Path,
        records: &mut dyn Iterator<Item = Result<StateRecord, Error>>,
    ) -> Result<(), Error>;
}
