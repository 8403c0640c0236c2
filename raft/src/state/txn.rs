//! One group's keys as its machine sees them, and the writes of one command on top of them.

use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};

use bytes::{BufMut, Bytes, BytesMut};

use super::engine::{ScanOrder, StateRead, Visit};
use crate::error::Error;

/// A read view of one group's state; keys are without the group's prefix.
pub struct View<'a> {
    store: &'a dyn StateRead,
    prefix: Bytes,
}

impl<'a> View<'a> {
    /// `prefix` is the group's number and generation.
    pub fn new(store: &'a dyn StateRead, prefix: Bytes) -> Self {
        Self { store, prefix }
    }

    /// Value of a key.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.store.get(&self.full(key))
    }

    /// Visits `from <= key < to` until the visitor breaks.
    pub fn scan(&self, from: &[u8], to: &[u8], order: ScanOrder, visit: Visit<'_>) -> Result<(), Error> {
        let cut = self.prefix.len();
        self.store.scan(&self.full(from), &self.full(to), order, &mut |key, value| visit(&key[cut..], value))
    }

    fn full(&self, key: &[u8]) -> Bytes {
        let mut full = BytesMut::with_capacity(self.prefix.len() + key.len());
        full.put_slice(&self.prefix);
        full.put_slice(key);
        full.freeze()
    }
}

/// Writes in key order; `None` deletes.
pub type Writes = BTreeMap<Bytes, Option<Bytes>>;

/// A view with the pending writes of one apply batch laid over it.
///
/// Commands of one batch see each other's writes; the whole batch lands in one engine write.
pub struct Txn<'a> {
    view: View<'a>,
    writes: Writes,
    /// Those of the command being applied: what the state hash is chained over.
    command: Writes,
}

impl<'a> Txn<'a> {
    /// A transaction on top of `view`, without writes.
    pub fn new(view: View<'a>) -> Self {
        Self { view, writes: Writes::new(), command: Writes::new() }
    }

    /// Value of a key, with what the transaction wrote.
    pub fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        match self.writes.get(key) {
            Some(written) => Ok(written.clone()),
            None => self.view.get(key),
        }
    }

    /// Sets a key.
    pub fn put(&mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) {
        self.set(key.into(), Some(value.into()));
    }

    /// Removes a key.
    pub fn delete(&mut self, key: impl Into<Bytes>) {
        self.set(key.into(), None);
    }

    fn set(&mut self, key: Bytes, value: Option<Bytes>) {
        self.command.insert(key.clone(), value.clone());
        self.writes.insert(key, value);
    }

    /// Visits `from <= key < to`, pending writes included, in ascending order until the visitor breaks.
    pub fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Result<(), Error> {
        if from >= to {
            return Ok(());
        }
        let mut pending =
            self.writes.range::<[u8], _>((Bound::Included(from), Bound::Excluded(to))).peekable();
        let mut stopped = false;
        self.view.scan(from, to, ScanOrder::Ascending, &mut |key, value| {
            while let Some((written, change)) = pending.next_if(|(written, _)| written.as_ref() < key) {
                if let Some(change) = change
                    && visit(written, change).is_break()
                {
                    stopped = true;
                    return ControlFlow::Break(());
                }
            }
            let flow = match pending.next_if(|(written, _)| written.as_ref() == key) {
                Some((_, None)) => ControlFlow::Continue(()),
                Some((_, Some(change))) => visit(key, change),
                None => visit(key, value),
            };
            stopped = flow.is_break();
            flow
        })?;
        if !stopped {
            for (written, change) in pending {
                if let Some(change) = change
                    && visit(written, change).is_break()
                {
                    break;
                }
            }
        }
        Ok(())
    }

    /// The pending writes of the whole batch, keys without the group's prefix.
    pub fn into_writes(self) -> Writes {
        self.writes
    }

    /// Writes of the command so far; `None` stands for a removed key.
    pub fn writes(&self) -> &Writes {
        &self.writes
    }

    /// Ends a command: returns what it wrote, which stays pending.
    pub fn end_command(&mut self) -> Writes {
        std::mem::take(&mut self.command)
    }
}
