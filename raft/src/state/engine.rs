//! The store beneath the state machines: ordered bytes, atomic unsynced batches, explicit flush.
//! `rocks` and `memory` (which can lose unflushed writes) implement it.

use std::ops::ControlFlow;
use std::path::Path;

use bytes::Bytes;

use crate::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScanOrder {
    Ascending,
    Descending,
}

/// A read view of the whole store.
pub trait StateRead: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Visits `from <= key < to` in order until the visitor breaks.
    fn scan(
        &self,
        from: &[u8],
        to: &[u8],
        order: ScanOrder,
        visit: &mut dyn FnMut(&[u8], &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error>;
}

/// Puts and deletes that land together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StateBatch {
    /// `None` deletes. In order; a later write of a key wins.
    pub writes: Vec<(Bytes, Option<Bytes>)>,
}

pub trait StateEngine: StateRead + 'static {
    /// A consistent point in time.
    fn snapshot(&self) -> Box<dyn StateRead + '_>;
    /// Atomic, not durable until `flush`.
    fn write(&self, batch: StateBatch) -> Result<(), Error>;
    /// Atomic and durable when it returns (generation flips, node identity).
    fn write_synced(&self, batch: StateBatch) -> Result<(), Error>;
    /// Everything written before the call is durable when it returns.
    fn flush(&self) -> Result<(), Error>;
    /// Removes a whole key range that nobody reads any more, cheaply.
    fn drop_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error>;
    /// Takes in sorted records of a fresh range, durably; `staging` may be used for files.
    fn ingest(
        &self,
        staging: &Path,
        records: &mut dyn Iterator<Item = Result<(Bytes, Bytes), Error>>,
    ) -> Result<(), Error>;
}
