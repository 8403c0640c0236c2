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
use super::snapshot_spool::{Spool, SpoolWriter};
use crate::error::Error;

const WHAT: &str = "a snapshot";

/// openraft's `SnapshotData`: a group's records in key order, keys without prefix, the Applied record
/// first.
pub struct SnapshotData(Source);

enum Source {
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
        let mut records = engine.records(generation.prefix(), generation.end());
        // One byte is less than any record: exactly the first.
        let head: VecDeque<StateRecord> = records.page(1)?.into();
        let Some((key, value)) = head.front() else { return Ok(None) };
        if key.slice(PREFIX_BYTES..) != APPLIED_KEY {
            return Err(Error::corrupt(
                "state",
                format_args!("group {} has no Applied record", generation.group),
            ));
        }
        let applied = Applied::decode(value.clone())?;
        let records = GroupRecords { head, records, _lease: generation };
        Ok(Some((Self(Source::Group(records)), applied)))
    }

    /// Frames to send, in order.
    pub fn into_chunks(self) -> SnapshotChunks {
        SnapshotChunks { source: self.0, tally: Tally::default(), ended: false }
    }

    pub(super) fn into_records(self) -> SnapshotRecords {
        SnapshotRecords { source: self.0, page: VecDeque::new() }
    }
}

/// A range under a snapshot; the lease keeps its generation from being dropped meanwhile.
struct GroupRecords {
    head: VecDeque<StateRecord>,
    records: Box<dyn StateRecords>,
    _lease: Arc<Generation>,
}

impl GroupRecords {
    fn page(&mut self) -> Result<Vec<StateRecord>, Error> {
        let page = if self.head.is_empty() {
            self.records.page(frame::FRAME_BYTES)?
        } else {
            self.head.drain(..).collect()
        };
        Ok(page.into_iter().map(|(key, value)| (key.slice(PREFIX_BYTES..), value)).collect())
    }
}

impl Source {
    /// The next records; empty at the end.
    fn page(&mut self) -> Result<Vec<StateRecord>, Error> {
        match self {
            Self::Meta => Err(Error::corrupt(WHAT, "it was built for its meta only")),
            Self::Group(group) => group.page(),
            Self::Received(spool) => match spool.next()?.as_ref().map(frame::decode).transpose()? {
                Some(Frame::Records { records, .. }) => Ok(records),
                Some(Frame::End { .. }) | None => Ok(Vec::new()),
            },
        }
    }
}

/// Frames of at most a few MiB, each made when asked for. Blocks on the disk.
pub struct SnapshotChunks {
    source: Source,
    tally: Tally,
    ended: bool,
}

impl SnapshotChunks {
    /// The next chunk, `None` at the end. Blocks on the disk.
    #[allow(clippy::should_implement_trait, reason = "it fails, and stops at the first failure")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.ended {
            return Ok(None);
        }
        let records = self.source.page()?;
        if records.is_empty() {
            self.ended = true;
            return Ok(Some(self.tally.end_frame()));
        }
        frame::encode_records(&records, &mut self.tally).map(Some)
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
    ended: bool,
}

impl SnapshotSink {
    /// `staging` is the store's staging directory; only large snapshots put a file there.
    pub fn new(staging: &Path) -> Self {
        Self { spool: SpoolWriter::new(staging), tally: Tally::default(), last_key: None, ended: false }
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

    /// The whole snapshot; fails if its end has not arrived.
    pub fn finish(self) -> Result<SnapshotData, Error> {
        if !self.ended {
            return Err(Error::corrupt(WHAT, "its end is missing"));
        }
        Ok(SnapshotData(Source::Received(self.spool.finish()?)))
    }
}
