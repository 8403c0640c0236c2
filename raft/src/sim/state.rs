//! The state store of simulation: a map in memory with a durable image beside it.
//!
//! It starts no thread and reads no clock. A crash goes back to the durable image, or to it and any
//! first part of what was written since, as RocksDB does when it flushed on its own account.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use crate::error::Error;
use crate::state::{ScanOrder, StateBatch, StateEngine, StateRead, StateRecord, StateRecords, Visit};

type Records = BTreeMap<Bytes, Bytes>;

/// A store that forgets what was not flushed when told to crash.
#[derive(Default)]
pub struct MemoryState {
    image: RwLock<Image>,
}

#[derive(Default)]
struct Image {
    now: Arc<Records>,
    durable: Arc<Records>,
    /// The changes that lead from `durable` to `now`.
    pending: Vec<Change>,
    /// Always durable.
    meta: Records,
}

enum Change {
    Write(StateBatch),
    Drop { from: Bytes, to: Bytes },
}

impl Change {
    fn apply(&self, records: &mut Records) {
        match self {
            Self::Write(batch) => {
                for (key, value) in &batch.writes {
                    match value {
                        Some(value) => records.insert(key.clone(), value.clone()),
                        None => records.remove(key),
                    };
                }
            }
            Self::Drop { from, to } => records.retain(|key, _| key < from || key >= to),
        }
    }
}

impl MemoryState {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Loses every unflushed write.
    pub fn crash(&self) {
        self.crash_keeping(0);
    }

    /// Loses every unflushed write but the first `changes`.
    pub fn crash_keeping(&self, changes: usize) {
        let mut image = self.image_mut();
        let kept: Vec<Change> = image.pending.drain(..).take(changes).collect();
        let durable = Arc::make_mut(&mut image.durable);
        for change in &kept {
            change.apply(durable);
        }
        image.now = image.durable.clone();
    }

    /// The store as the next process finds it after a crash that lost every unflushed write but the first `changes`.
    /// What still runs over this one writes where nobody looks any more.
    pub fn after_crash(&self, changes: usize) -> Self {
        let image = self.image();
        let mut durable = image.durable.clone();
        for change in image.pending.iter().take(changes) {
            change.apply(Arc::make_mut(&mut durable));
        }
        let (now, meta) = (durable.clone(), image.meta.clone());
        Self { image: RwLock::new(Image { now, durable, pending: Vec::new(), meta }) }
    }

    /// Changes that a crash could lose.
    pub fn unflushed(&self) -> usize {
        self.image().pending.len()
    }

    fn image(&self) -> RwLockReadGuard<'_, Image> {
        self.image.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn image_mut(&self) -> RwLockWriteGuard<'_, Image> {
        self.image.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Snapshot {
        Snapshot(self.image().now.clone())
    }

    fn change(&self, change: Change) {
        let mut image = self.image_mut();
        change.apply(Arc::make_mut(&mut image.now));
        image.pending.push(change);
    }
}

impl StateRead for MemoryState {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.image().now.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
        self.now().scan(from, to, order, visit)
    }
}

impl StateEngine for MemoryState {
    fn snapshot(&self) -> Box<dyn StateRead + '_> {
        Box::new(self.now())
    }

    fn records(self: Arc<Self>, from: Bytes, to: Bytes) -> Box<dyn StateRecords> {
        Box::new(Pages { records: self.now().0, next: from, to })
    }

    fn approximate_bytes(&self, from: &[u8], to: &[u8]) -> u64 {
        let records = self.now().0;
        let range = records.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        range.map(|(key, value)| (key.len() + value.len()) as u64).sum()
    }

    fn write(&self, batch: StateBatch) -> Result<(), Error> {
        self.change(Change::Write(batch));
        Ok(())
    }

    fn flush(&self) -> Result<(), Error> {
        let mut image = self.image_mut();
        image.pending.clear();
        image.durable = image.now.clone();
        Ok(())
    }

    fn write_synced(&self, batch: StateBatch) -> Result<(), Error> {
        Change::Write(batch).apply(&mut self.image_mut().meta);
        Ok(())
    }

    fn meta(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.image().meta.get(key).cloned())
    }

    fn metas(&self, prefix: &[u8]) -> Result<Vec<StateRecord>, Error> {
        let image = self.image();
        let from = image.meta.range::<[u8], _>((Bound::Included(prefix), Bound::Unbounded));
        Ok(from
            .take_while(|(key, _)| key.starts_with(prefix))
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect())
    }

    fn drop_range(&self, from: &[u8], to: &[u8]) -> Result<(), Error> {
        let change = Change::Drop { from: Bytes::copy_from_slice(from), to: Bytes::copy_from_slice(to) };
        // Whole files vanish at once in RocksDB, whatever was flushed: the durable image loses them too.
        change.apply(Arc::make_mut(&mut self.image_mut().durable));
        self.change(change);
        Ok(())
    }

    fn ingest(
        &self,
        _staging: &Path,
        records: &mut dyn Iterator<Item = Result<StateRecord, Error>>,
    ) -> Result<(), Error> {
        let records = records.collect::<Result<Vec<_>, _>>()?;
        let mut image = self.image_mut();
        Arc::make_mut(&mut image.durable).extend(records.iter().cloned());
        Arc::make_mut(&mut image.now).extend(records);
        Ok(())
    }
}

/// The map as it was: later writes copy it.
struct Snapshot(Arc<Records>);

impl StateRead for Snapshot {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        Ok(self.0.get(key).cloned())
    }

    fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let mut range = self.0.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to)));
        let mut next = || match order {
            ScanOrder::Ascending => range.next(),
            ScanOrder::Descending => range.next_back(),
        };
        while let Some((key, value)) = next() {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }
}

struct Pages {
    records: Arc<Records>,
    next: Bytes,
    to: Bytes,
}

impl StateRecords for Pages {
    fn page(&mut self, bytes: usize) -> Result<Vec<StateRecord>, Error> {
        let mut page = Vec::new();
        let mut size = 0;
        if self.next >= self.to {
            return Ok(page);
        }
        let records = self.records.clone();
        for (key, value) in
            records.range::<Bytes, _>((Bound::Included(&self.next), Bound::Excluded(&self.to)))
        {
            if size >= bytes && !page.is_empty() {
                self.next = key.clone();
                return Ok(page);
            }
            size += key.len() + value.len();
            page.push((key.clone(), value.clone()));
        }
        self.next = self.to.clone();
        Ok(page)
    }

    fn seek(&mut self, key: Bytes) {
        self.next = key;
    }
}
