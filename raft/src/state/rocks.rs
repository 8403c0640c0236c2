//! The state store of production: RocksDB, data without a write-ahead log, meta records with one.
//!
//! Writes that the data family loses in a crash are replayed from the Raft log (docs/rules/storage.md).

use std::future::{Future, poll_fn};
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use rocksdb::{
    ColumnFamily, ColumnFamilyDescriptor, DB, DEFAULT_COLUMN_FAMILY_NAME, IngestExternalFileOptions, Range,
    ReadOptions, Snapshot, SstFileWriter, WriteBatch, WriteOptions,
};

use super::engine::{ScanOrder, StateBatch, StateEngine, StateRead, StateRecord, StateRecords, Visit};
use super::gap_search;
use super::gaps::Gaps;
use super::rocks_options::StateOptions;
use super::rocks_scan::{self, bounded, failed, walk};
use super::staged_file::StagedFile;
use crate::error::Error;
use crate::fatal::FatalLatch;
use crate::lock::lock;

/// The family of records that must survive a crash by themselves.
const META_FAMILY: &str = "meta";
const FORMAT_KEY: &[u8] = b"format";
/// Raised when the layout of keys or of the Applied record changes.
const FORMAT_VERSION: u32 = 2;
/// Size of a file made for ingestion: large enough for the bottom level, small enough to be removed
/// whole with its generation.
const STAGED_FILE_BYTES: u64 = 64 << 20;
/// Extension of files in the staging directory.
pub(super) const STAGED_EXTENSION: &str = "sst";

const STORE: &str = "The state database of this node";
const ADVICE: &str = "what was not flushed comes back from the Raft log. If it then refuses its state, remove the node \
                      and add it with an empty disk.";

/// A RocksDB database.
pub struct RocksState {
    db: DB,
    options: StateOptions,
    staged: AtomicU64,
    gaps: Gaps,
    /// Held by all who write rows, and alone by who writes a range tombstone: the gap it stands for has no row then.
    writing: RwLock<()>,
    fatal: FatalLatch,
}

impl RocksState {
    /// Opens or creates the database in `dir`; refuses one of another format.
    pub fn open(dir: &Path, options: StateOptions) -> Result<Self, Error> {
        let families = [
            ColumnFamilyDescriptor::new(DEFAULT_COLUMN_FAMILY_NAME, options.data()),
            ColumnFamilyDescriptor::new(META_FAMILY, options.meta()),
        ];
        let db = DB::open_cf_descriptors(&options.database(), dir, families).map_err(failed("open state"))?;
        let fatal = FatalLatch::new(options.on_fatal.clone(), STORE, ADVICE);
        let gaps = Gaps::new(options.gaps);
        let state = Self { db, options, staged: AtomicU64::new(0), gaps, writing: RwLock::default(), fatal };
        state.check_format()?;
        Ok(state)
    }

    fn check_format(&self) -> Result<(), Error> {
        let Some(found) = self.meta(FORMAT_KEY)? else {
            let version = Bytes::copy_from_slice(&FORMAT_VERSION.to_be_bytes());
            let writes = vec![(Bytes::from_static(FORMAT_KEY), Some(version))];
            return self.write_synced(StateBatch { writes });
        };
        let found = <[u8; 4]>::try_from(found.as_ref())
            .map(u32::from_be_bytes)
            .map_err(|_| Error::corrupt("state format record", found.len()))?;
        if found != FORMAT_VERSION {
            return Err(Error::Version { what: "state store", found, known: FORMAT_VERSION });
        }
        Ok(())
    }

    fn meta_family(&self) -> Result<&ColumnFamily, Error> {
        self.db.cf_handle(META_FAMILY).ok_or_else(|| Error::corrupt("state store", "no meta family"))
    }

    /// Passes the result of a write on, and ends the node if it failed. A database that could not write never will:
    /// RocksDB goes on refusing, and what reached the disk is unknown. So the node ends
    /// (docs/rules/storage.md#a-failed-sync-ends-the-node).
    fn written(&self, what: &'static str, result: Result<(), rocksdb::Error>) -> Result<(), Error> {
        let error = match result {
            Ok(()) => return Ok(()),
            Err(error) => failed(what)(error),
        };
        self.fatal.fall(&error);
        Err(error)
    }

    /// Writes range tombstones for gaps that last: compactions then drop what lies below, and a restart need not learn
    /// them again.
    fn record_gaps(&self) -> Result<(), Error> {
        let _alone = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let mut writes = WriteBatch::default();
        for gap in self.gaps.settle() {
            writes.delete_range(&gap.start, &gap.end);
        }
        if writes.is_empty() {
            return Ok(());
        }
        self.written("record gaps of state", self.db.write_opt(writes, &without_log()))
    }

    #[cfg(test)]
    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }

    /// Writes one file of at most `STAGED_FILE_BYTES`; `None` when there are no more records.
    fn stage(
        &self,
        staging: &Path,
        records: &mut dyn Iterator<Item = Result<StateRecord, Error>>,
    ) -> Result<Option<StagedFile>, Error> {
        let Some(first) = records.next() else { return Ok(None) };
        let mut record = first?;
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let file = StagedFile::new(staging.join(format!("{number}.{STAGED_EXTENSION}")));
        let options = self.options.staged();
        let mut writer = SstFileWriter::create(&options);
        writer.open(file.path()).map_err(failed("stage state"))?;
        loop {
            writer.put(&record.0, &record.1).map_err(failed("stage state"))?;
            if writer.file_size() >= STAGED_FILE_BYTES {
                break;
            }
            match records.next() {
                Some(next) => record = next?,
                None => break,
            }
        }
        writer.finish().map_err(failed("stage state"))?;
        Ok(Some(file))
    }
}

impl StateRead for RocksState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.db.get_pinned(key).map_err(failed("read state"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        if self.gaps.first(from, to, u64::MAX).is_some() {
            return self.snapshot().scan(from, to, order, visit);
        }
        self.gaps.note_scan(from);
        walk(self.db.raw_iterator_opt(bounded(from, to)), order, visit)
    }
}

impl StateEngine for RocksState {
    fn snapshot(&self) -> Box<dyn StateRead + '_> {
        Box::new(RocksView { view: self.db.snapshot(), gaps: &self.gaps })
    }

    fn records(self: Arc<Self>, from: Bytes, to: Bytes) -> Box<dyn StateRecords> {
        Box::new(RocksPages::open(self, from, to))
    }

    fn approximate_bytes(&self, from: &[u8], to: &[u8]) -> u64 {
        self.db.get_approximate_sizes(&[Range::new(from, to)]).into_iter().sum()
    }

    fn write(&self, batch: StateBatch) -> Result<(), Error> {
        let mut writes = WriteBatch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.put(key, value),
                None => writes.delete(key),
            }
        }
        let changed = {
            let _writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
            let changed = self.gaps.note_writes(&batch.writes);
            self.written("write state", self.db.write_opt(writes, &without_log()))?;
            changed
        };
        for keys in changed {
            gap_search::search(&self.db, &self.gaps, keys)?;
        }
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        self.record_gaps()?;
        self.written("flush state", self.db.flush())
    }

    fn write_synced(&self, batch: StateBatch) -> Result<(), Error> {
        let family = self.meta_family()?;
        let mut writes = WriteBatch::default();
        for (key, value) in &batch.writes {
            match value {
                Some(value) => writes.put_cf(family, key, value),
                None => writes.delete_cf(family, key),
            }
        }
        let mut synced = WriteOptions::default();
        synced.set_sync(true);
        self.written("write state meta", self.db.write_opt(writes, &synced))
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.db.get_pinned_cf(self.meta_family()?, key).map_err(failed("read state meta"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn metas(&self, prefix: &[u8]) -> Result<Vec<StateRecord>, Error> {
        let mut options = ReadOptions::default();
        options.set_iterate_range(rocksdb::PrefixRange(prefix));
        let mut found = Vec::new();
        walk(
            self.db.raw_iterator_cf_opt(self.meta_family()?, options),
            ScanOrder::Ascending,
            &mut |key, value| {
                found.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
                ControlFlow::Continue(())
            },
        )?;
        Ok(found)
    }

    fn drop_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        self.gaps.forget_within(from, to);
        // Whole files at once, then one tombstone for what shares its files with others.
        self.written("drop state range", self.db.delete_file_in_range(from, to))?;
        let mut writes = WriteBatch::default();
        writes.delete_range(from, to);
        self.written("drop state range", self.db.write_opt(writes, &without_log()))
    }

    fn ingest(
        &self,
        staging: &Path,
        records: &mut dyn Iterator<Item = Result<StateRecord, Error>>,
    ) -> Result<(), Error> {
        std::fs::create_dir_all(staging).map_err(|source| Error::io("create staging directory", source))?;
        let mut files = Vec::new();
        while let Some(file) = self.stage(staging, records)? {
            files.push(file);
        }
        if files.is_empty() {
            return Ok(());
        }
        let mut options = IngestExternalFileOptions::default();
        options.set_move_files(true);
        let paths = files.iter().map(StagedFile::path).collect();
        self.written("ingest state", self.db.ingest_external_file_opts(&options, paths))
    }
}

/// A view at one sequence number.
struct RocksView<'a> {
    view: Snapshot<'a>,
    gaps: &'a Gaps,
}

impl StateRead for RocksView<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.view.get_pinned(key).map_err(failed("read state"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        self.gaps.note_scan(from);
        rocks_scan::scan(&self.view, self.gaps, (from, to), order, visit)
    }
}

/// Pages of a range under a snapshot that lives as long as they do.
///
/// A snapshot borrows its database, so neither can be a field beside the other: the frame of a future
/// owns both, and each poll of it hands over one page.
struct RocksPages {
    reader: Pin<Box<dyn Future<Output = ()> + Send>>,
    desk: Arc<Mutex<Desk>>,
}

#[derive(Default)]
struct Desk {
    wanted_bytes: usize,
    /// Where the next page begins, if not behind the last.
    seek: Option<Bytes>,
    page: Option<Result<Vec<StateRecord>, Error>>,
}

impl RocksPages {
    fn open(state: Arc<RocksState>, from: Bytes, to: Bytes) -> Self {
        let desk = Arc::<Mutex<Desk>>::default();
        let mut pages = Self { reader: Box::pin(serve_pages(state, from, to, desk.clone())), desk };
        // The first poll takes the snapshot: now, not when the first page is asked for.
        pages.step();
        pages
    }

    fn step(&mut self) {
        let _pending = self.reader.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    }
}

impl StateRecords for RocksPages {
    fn page(&mut self, bytes: usize) -> Result<Vec<StateRecord>, Error> {
        lock(&self.desk).wanted_bytes = bytes;
        self.step();
        lock(&self.desk).page.take().unwrap_or_else(|| Err(Error::corrupt("state pages", "no page was read")))
    }

    fn seek(&mut self, key: Bytes) {
        lock(&self.desk).seek = Some(key);
    }
}

async fn serve_pages(state: Arc<RocksState>, from: Bytes, to: Bytes, desk: Arc<Mutex<Desk>>) {
    let view = state.db.snapshot();
    let mut next = from;
    loop {
        hand_over().await;
        let (wanted, seek) = {
            let mut desk = lock(&desk);
            (desk.wanted_bytes, desk.seek.take())
        };
        next = seek.unwrap_or(next);
        let page = read_page(&view, &mut next, &to, wanted);
        lock(&desk).page = Some(page);
    }
}

/// Returns control to whoever polls, once.
fn hand_over() -> impl Future<Output = ()> {
    let mut handed = false;
    poll_fn(move |_| if std::mem::replace(&mut handed, true) { Poll::Ready(()) } else { Poll::Pending })
}

/// A fresh iterator per page, so that no memtable stays pinned while a slow receiver takes its time.
fn read_page(
    view: &Snapshot<'_>,
    next: &mut Bytes,
    to: &Bytes,
    bytes: usize,
) -> Result<Vec<StateRecord>, Error> {
    let mut page = Vec::new();
    if *next >= *to {
        return Ok(page);
    }
    let mut options = bounded(next, to);
    // A transfer reads everything once: it must not empty the cache.
    options.fill_cache(false);
    let mut size = 0;
    let mut rest = to.clone();
    walk(view.raw_iterator_opt(options), ScanOrder::Ascending, &mut |key, value| {
        if size >= bytes && !page.is_empty() {
            rest = Bytes::copy_from_slice(key);
            return ControlFlow::Break(());
        }
        size += key.len() + value.len();
        page.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
        ControlFlow::Continue(())
    })?;
    *next = rest;
    Ok(page)
}

fn without_log() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.disable_wal(true);
    options
}
