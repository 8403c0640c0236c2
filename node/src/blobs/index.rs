//! The place of each chunk. It is synced at checkpoints only, because the segments know the same.
//!
//! Only the writer changes it, and recovery before the writer runs. So an entry that the writer reads is true until it
//! writes. A crash may lose a delete, because segments do not record deletes: then the chunk is back until the sweep
//! removes it. A crash loses no chunk: its entry is written after its record is synced, and every start scans the
//! records behind the checkpoint.

use std::ops::ControlFlow;
use std::path::Path;

use rocksdb::{DB, ErrorKind, ReadOptions, WriteBatch, WriteOptions};

use super::holdings::Holdings;
use super::key::{ChunkKey, KeyRange};
use super::ledger::Ledger;
use super::options;
use super::record::{FORMAT_VERSION, Location, u32_at, u64_at};
use super::scrub_mark::ScrubMark;
use crate::Error;

const FORMAT_KEY: &[u8] = b"m-format";
const CHECKPOINT_KEY: &[u8] = b"m-checkpoint";
const SCRUB_KEY: &[u8] = b"m-scrub";
/// Entries removed in one go: a replica may have hundreds of thousands, and puts wait meanwhile.
const DELETE_MAX: usize = 4_096;

/// The database of places, and the ledger of how full segments are.
pub(super) struct Index {
    db: DB,
    /// Kept in step with the entries.
    pub(super) ledger: Ledger,
    /// Likewise.
    pub(super) holdings: Holdings,
}

impl Index {
    /// Opens or creates it. Fails on another version, and on damage.
    pub(super) fn open(dir: &Path) -> Result<Self, Error> {
        let db = DB::open(&options::index(), dir).map_err(failed)?;
        let index = Self { db, ledger: Ledger::default(), holdings: Holdings::default() };
        match index.db.get(FORMAT_KEY).map_err(failed)? {
            None => index.put_synced(FORMAT_KEY, &FORMAT_VERSION.to_be_bytes())?,
            Some(value) => {
                let found = u32_at(&value, 0).unwrap_or_default();
                if found != FORMAT_VERSION {
                    return Err(Error::FormatVersion {
                        what: "the index of chunks",
                        found,
                        known: FORMAT_VERSION,
                    });
                }
            }
        }
        Ok(index)
    }

    /// Where the chunk lies, `None` if this node does not hold it.
    pub(super) fn get(&self, key: ChunkKey) -> Result<Option<Location>, Error> {
        let value = self.db.get_pinned(key.encode()).map_err(failed)?;
        value.map(|value| Location::decode(&value)).transpose()
    }

    /// Names the place of a chunk, in place of an earlier one.
    pub(super) fn enter(&self, key: ChunkKey, at: &Location) -> Result<(), Error> {
        let replaced = self.get(key)?;
        self.db.put(key.encode(), at.encode()).map_err(failed)?;
        self.count(key, at);
        if let Some(replaced) = replaced {
            self.uncount(key, &replaced);
        }
        Ok(())
    }

    /// An entry is there from now on, or was found there.
    pub(super) fn count(&self, key: ChunkKey, at: &Location) {
        self.ledger.add(at);
        self.holdings.add(key.replica, at.length);
    }

    fn uncount(&self, key: ChunkKey, at: &Location) {
        self.ledger.free(at);
        self.holdings.free(key.replica, at.length);
    }
    /// Removes the entry of a chunk; `at` is the place it names.
    pub(super) fn remove(&self, key: ChunkKey, at: &Location) -> Result<(), Error> {
        self.remove_uncounted(key)?;
        self.uncount(key, at);
        Ok(())
    }

    /// Removes an entry that the ledger never counted.
    pub(super) fn remove_uncounted(&self, key: ChunkKey) -> Result<(), Error> {
        self.db.delete(key.encode()).map_err(failed)
    }

    /// Removes the first `DELETE_MAX` entries of a range; returns whether there may be more.
    pub(super) fn remove_some(&self, range: &KeyRange) -> Result<bool, Error> {
        let (mut batch, mut removed) = (WriteBatch::default(), Vec::new());
        self.scan(range, |key, at| {
            batch.delete(key.encode());
            removed.push((key, at));
            if removed.len() < DELETE_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        self.db.write(batch).map_err(failed)?;
        removed.iter().for_each(|(key, at)| self.uncount(*key, at));
        Ok(removed.len() == DELETE_MAX)
    }

    /// Shows the entries of a range, in order.
    pub(super) fn scan(
        &self,
        range: &KeyRange,
        mut visit: impl FnMut(ChunkKey, Location) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(range.from.as_slice());
        options.set_iterate_upper_bound(range.to.as_slice());
        let mut cursor = self.db.raw_iterator_opt(options);
        cursor.seek_to_first();
        while let Some((key, value)) = cursor.item() {
            let key = ChunkKey::decode(key)
                .ok_or_else(|| Error::DamagedBlobIndex("a key of no chunk".to_owned()))?;
            if visit(key, Location::decode(value)?).is_break() {
                break;
            }
            cursor.next();
        }
        cursor.status().map_err(failed)
    }

    /// Segment and offset from which on segments hold records that the index on disk may not know.
    pub(super) fn checkpoint(&self) -> Result<(u64, u64), Error> {
        let value = self.db.get(CHECKPOINT_KEY).map_err(failed)?.unwrap_or_default();
        Ok((u64_at(&value, 0).unwrap_or_default(), u64_at(&value, 8).unwrap_or_default()))
    }

    /// The entries of all records before `position` must be written. One log holds them and the
    /// checkpoint in this order, so it cannot be on disk without them.
    pub(super) fn set_checkpoint(&self, position: (u64, u64)) -> Result<(), Error> {
        let value = [position.0.to_be_bytes(), position.1.to_be_bytes()].concat();
        self.put_synced(CHECKPOINT_KEY, &value)
    }

    /// How far the scrub had come when that was last written.
    pub(super) fn scrub_mark(&self) -> Result<ScrubMark, Error> {
        let value = self.db.get(SCRUB_KEY).map_err(failed)?;
        Ok(ScrubMark::decode(&value.unwrap_or_default()))
    }

    /// Not synced: a crash costs what was read in the last moments.
    pub(super) fn set_scrub_mark(&self, mark: &ScrubMark) -> Result<(), Error> {
        self.db.put(SCRUB_KEY, mark.encode()).map_err(failed)
    }

    /// Makes everything written so far durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.db.flush_wal(true).map_err(failed)
    }

    fn put_synced(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.db.put_opt(key, value, &options).map_err(failed)
    }
}

/// RocksDB's errors are text.
fn failed(error: rocksdb::Error) -> Error {
    match error.kind() {
        ErrorKind::Corruption => Error::DamagedBlobIndex(error.to_string()),
        _ => Error::io("the index of chunks", std::io::Error::other(error)),
    }
}
