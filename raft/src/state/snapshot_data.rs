//! A snapshot of one group: on its way out (read lazily from the store) or received.

use std::collections::VecDeque;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::applied::{APPLIED_KEY, Applied};
use super::engine::{StateEngine, StateRecord, StateRecords};
use super::generation::{Generation, PREFIX_BYTES};
use super::snapshot_frame::{self as frame, Frame, Tally};
use super::snapshot_meta::{Meta, meta};
use super::snapshot_spool::{Spool, SpoolWriter};
use crate::error::Error;

const WHAT: &str = "a snapshot";

/// openraft's `SnapshotData`: a group's records in key order, keys without prefix, the Applied record
/// first.
pub struct SnapshotData(pub(super) Source);

pub(super) enum Source {
    /// Built only for its meta (docs/rules/storage.md#purge-behind-durable-state): nobody sends it.
    Meta,
    Group(GroupRecords),
    Received(Spool),
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Meta => "SnapshotData(meta)",
            Source::Group(_) => "SnapshotData(group)",
            Source::Received(_) => "SnapshotData(received)",
        })
    }
}

impl SnapshotData {
    pub(super) fn meta_only() -> Self {
        Self(Source::Meta)
    }

    /// The group as it is now, with the Applied record found inside it; `None` if nothing is applied.
    pub(super) fn of_group(
        engine: Arc<dyn StateEngine>,
        generation: Arc<Generation>,
    ) -> Result<Option<(Self, Applied)>, Error> {
        let mut records = engine.clone().records(generation.prefix(), generation.end());
        // One byte is less than any record: exactly the first.
        let head = records.page(1)?;
        let Some((key, value)) = head.first() else { return Ok(None) };
        if key.slice(PREFIX_BYTES..) != APPLIED_KEY {
            return Err(Error::corrupt(
                "state",
                format_args!("group {} has no Applied record", generation.group),
            ));
        }
        let applied = Applied::decode(value.clone())?;
        let records = GroupRecords { engine, head, head_is_read: false, records, lease: generation };
        Ok(Some((Self(Source::Group(records)), applied)))
    }

    /// Bytes that it has on this node's disk, about. Blocks on the disk.
    pub fn approximate_bytes(&self) -> u64 {
        match &self.0 {
            Source::Group(group) => group.approximate_bytes(),
            Source::Meta | Source::Received(_) => 0,
        }
    }

    pub(super) fn into_records(self) -> SnapshotRecords {
        SnapshotRecords { source: self.0, page: VecDeque::new() }
    }
}

/// A range under a snapshot; the lease keeps its generation from being dropped meanwhile.
pub(super) struct GroupRecords {
    engine: Arc<dyn StateEngine>,
    /// The first record, which is a page of its own.
    head: Vec<StateRecord>,
    head_is_read: bool,
    records: Box<dyn StateRecords>,
    lease: Arc<Generation>,
}

impl GroupRecords {
    fn page(&mut self) -> Result<Vec<StateRecord>, Error> {
        let page = if self.head_is_read { self.records.page(frame::FRAME_BYTES)? } else { self.head.clone() };
        self.head_is_read = true;
        Ok(page.into_iter().map(|(key, value)| (key.slice(PREFIX_BYTES..), value)).collect())
    }

    /// Goes on with the page that began with `key`.
    fn seek(&mut self, key: &[u8]) {
        self.head_is_read = key != APPLIED_KEY;
        // Behind the head comes the least key that is larger.
        let least = if self.head_is_read { key.to_vec() } else { [APPLIED_KEY, &[0]].concat() };
        self.records.seek(self.lease.key(&least));
    }

    fn approximate_bytes(&self) -> u64 {
        self.engine.approximate_bytes(&self.lease.prefix(), &self.lease.end())
    }
}

impl Source {
    /// The next records; empty at the end.
    pub(super) fn page(&mut self) -> Result<Vec<StateRecord>, Error> {
        match self {
            Self::Meta => Err(Error::corrupt(WHAT, "it was built for its meta only")),
            Self::Group(group) => group.page(),
            Self::Received(spool) => match spool.next()?.as_ref().map(frame::decode).transpose()? {
                Some(Frame::Records { records, .. }) => Ok(records),
                Some(Frame::End { .. }) | None => Ok(Vec::new()),
            },
        }
    }

    /// Goes on with the page that began with `key`; only a snapshot of a group can.
    pub(super) fn seek(&mut self, key: &[u8]) -> Result<(), Error> {
        match self {
            Self::Group(group) => {
                group.seek(key);
                Ok(())
            }
            Self::Meta | Self::Received(_) => Err(Error::corrupt(WHAT, "it is read only once")),
        }
    }
}

/// Every record once, in key order.
pub(super) struct SnapshotRecords {
    source: Source,
    page: VecDeque<StateRecord>,
}

impl Iterator for SnapshotRecords {
    type Item = Result<StateRecord, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.is_empty() {
            match self.source.page() {
                Ok(page) => self.page = page.into(),
                Err(error) => return Some(Err(error)),
            }
        }
        self.page.pop_front().map(Ok)
    }
}

/// Receives frames and checks them. Blocks on the disk.
pub struct SnapshotSink {
    spool: SpoolWriter,
    tally: Tally,
    last_key: Option<Bytes>,
    /// From its first record.
    applied: Option<Applied>,
    ended: bool,
}

impl SnapshotSink {
    /// `staging` is the store's staging directory; only large snapshots put a file there.
    pub fn new(staging: &Path) -> Self {
        Self {
            spool: SpoolWriter::new(staging),
            tally: Tally::default(),
            last_key: None,
            applied: None,
            ended: false,
        }
    }

    /// Takes the next chunk. Blocks on the disk.
    pub fn push(&mut self, chunk: Bytes) -> Result<(), Error> {
        if self.ended {
            return Err(Error::corrupt(WHAT, "a frame follows its end"));
        }
        match frame::decode(&chunk)? {
            Frame::Records { records, unpacked } => {
                for (key, _) in &records {
                    if self.last_key.as_ref().is_some_and(|last| last >= key) {
                        return Err(Error::corrupt(WHAT, "its keys do not rise"));
                    }
                    self.last_key = Some(key.clone());
                }
                if self.applied.is_none() {
                    self.applied = Some(first_record(&records)?);
                }
                self.tally.add(records.len(), &unpacked);
                self.spool.push(chunk)
            }
            Frame::End { count, hash } if self.tally.matches(count, hash) => {
                self.ended = true;
                Ok(())
            }
            Frame::End { count, .. } => {
                Err(Error::corrupt(WHAT, format_args!("its {count} records are not what arrived")))
            }
        }
    }

    /// Fails unless what arrived, which is something, tells the position and members that `expected` does: a sender's
    /// header and data must be of one snapshot.
    pub(crate) fn check(&self, expected: &Meta) -> Result<(), Error> {
        match &self.applied {
            Some(applied) if meta(applied) == *expected => Ok(()),
            Some(applied) => {
                Err(Error::corrupt(WHAT, format_args!("it says {}, its sender {expected}", meta(applied))))
            }
            None => Err(Error::corrupt(WHAT, "it is empty")),
        }
    }

    /// The whole snapshot; fails if its end has not arrived.
    pub fn finish(self) -> Result<SnapshotData, Error> {
        if !self.ended {
            return Err(Error::corrupt(WHAT, "its end is missing"));
        }
        Ok(SnapshotData(Source::Received(self.spool.finish()?)))
    }
}

fn first_record(records: &[StateRecord]) -> Result<Applied, Error> {
    match records.first() {
        Some((key, value)) if key == APPLIED_KEY => Applied::decode(value.clone()),
        _ => Err(Error::corrupt(WHAT, "it does not begin with an Applied record")),
    }
}
