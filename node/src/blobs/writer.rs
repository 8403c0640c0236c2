//! The thread that writes. It takes the waiting jobs, appends their records, syncs once, tells the index and answers.
//! While one sync runs, jobs gather for the next write: group commit without a linger.
//!
//! After a failed write or sync it never writes again (docs/rules/storage.md#a-failed-sync-ends-the-node). It survives
//! a full disk only, because a large upload may fill it: the torn tail is cut off, and no record of that write counts.

use std::io;
use std::sync::Arc;

use rowhouse_raft::fatal::PanicAlarm;

use super::direct::BlockBuffer;
use super::options::DiskStep;
use super::queue::{Accepted, Job, WRITE_BYTES_MAX};
use super::record::Location;
use super::segments::{Active, Record};
use super::shared::Shared;
use crate::Error;

/// The state of the writer's thread.
pub(super) struct Writer {
    shared: Arc<Shared>,
    active: Active,
    buffer: BlockBuffer,
}

/// The consequence of a panic of the writer, for the log.
const CONSEQUENCE: &str = "no large body can be made durable any more";

enum Failure {
    NoSpace,
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Fatal(error)
    }
}

impl Writer {
    /// A writer that goes on in `active`.
    pub(super) fn new(shared: Arc<Shared>, active: Active) -> Self {
        let buffer = BlockBuffer::new(usize::try_from(WRITE_BYTES_MAX).unwrap_or(usize::MAX / 2));
        Self { shared, active, buffer }
    }

    /// Writes until the queue is closed and empty.
    pub(super) fn run(mut self) {
        let on_fatal = self.shared.options.on_fatal.clone();
        let _alarm = PanicAlarm::new(on_fatal, "the writer of chunks", CONSEQUENCE);
        while let Some(mut accepted) = self.shared.queue.take() {
            let bytes = accepted.iter().map(|Accepted { job, .. }| job.bytes()).sum();
            let written = self.write(&mut accepted);
            self.shared.metrics.dequeued(bytes);
            self.answer(accepted, written);
        }
        if self.shared.fatal.dead().is_none()
            && let Err(error) = self.shared.index.set_checkpoint((self.active.id, self.active.length))
        {
            self.shared.fatal.fall(&error);
        }
    }

    fn write(&mut self, accepted: &mut [Accepted]) -> Result<(), Failure> {
        if let Some(dead) = self.shared.fatal.dead() {
            return Err(Failure::Fatal(Error::io("writing chunks", io::Error::other(dead.to_owned()))));
        }
        let (mut records, mut seals) = (Vec::new(), false);
        for Accepted { job, .. } in accepted.iter_mut() {
            match job {
                Job::Put { record, .. } => {
                    records.push(Record { header: record.header, body: record.body.clone() });
                }
                Job::Move { records: moved, .. } => {
                    self.drop_outdated(moved)?;
                    let copies = moved.iter().map(|(record, _)| record);
                    records.extend(copies.map(|r| Record { header: r.header, body: r.body.clone() }));
                }
                Job::Seal { segment, .. } => seals |= *segment == self.active.id,
                Job::Delete { .. } => {}
            }
        }
        let appended = self.append(&records, seals);
        let locations = match &appended {
            Ok(locations) => locations.as_slice(),
            Err(Failure::NoSpace) => &[],
            Err(Failure::Fatal(_)) => return appended.map(drop),
        };
        self.tell_index(accepted, locations)?;
        appended.map(drop)
    }

    /// A record that was deleted or replaced since must not be written behind what replaced it.
    fn drop_outdated(&self, moved: &mut Vec<(Record, Location)>) -> Result<(), Error> {
        let mut current = Vec::with_capacity(moved.len());
        for (record, from) in moved.drain(..) {
            if self.shared.index.get(record.header.key)? == Some(from) {
                current.push((record, from));
            }
        }
        *moved = current;
        Ok(())
    }

    /// `seals`: into a new segment, however short the newest is.
    fn append(&mut self, records: &[Record], seals: bool) -> Result<Vec<Location>, Failure> {
        const WHAT: &str = "appending chunks";
        let is_long = self.active.length >= self.shared.options.segment_bytes;
        if seals || is_long && !records.is_empty() {
            self.roll()?;
        }
        if records.is_empty() {
            return Ok(Vec::new());
        }
        let start = self.active.length;
        match self.active.append(records, &mut self.buffer).and_then(|()| self.did(DiskStep::Append)) {
            Err(error) if is_full(&error) => {
                self.active
                    .truncate(start)
                    .and_then(|()| self.did(DiskStep::Truncate))
                    .map_err(|error| Error::io("cutting off what a full disk tore", error))?;
                return Err(Failure::NoSpace);
            }
            appended => appended.map_err(|error| Error::io(WHAT, error))?,
        }
        let synced = self.active.sync().and_then(|()| self.did(DiskStep::Sync));
        synced.map_err(|error| Error::io("syncing chunks", error))?;
        self.shared.index.ledger.set_length(self.active.id, self.active.length);
        self.shared.metrics.written(records.len(), self.active.length - start);
        let mut offset = start;
        let locations = records.iter().map(|Record { header, .. }| {
            let at = Location {
                segment: self.active.id,
                offset,
                length: header.length,
                crc: header.crc,
                written_at_ms: header.written_at_ms,
            };
            offset += header.record_bytes();
            at
        });
        Ok(locations.collect())
    }

    /// Begins a new segment.
    fn roll(&mut self) -> Result<(), Failure> {
        let next = match self.shared.segments.create(self.active.id + 1) {
            Err(error) if is_full(&error) => return Err(Failure::NoSpace),
            created => created.map_err(|error| Error::io("beginning a segment", error))?,
        };
        self.shared.index.ledger.set_length(next.id, next.length);
        self.shared.index.set_checkpoint((next.id, next.length))?;
        self.active = next;
        Ok(())
    }

    /// In the order the jobs came. Without locations nothing was written, but deletes count.
    fn tell_index(&self, accepted: &mut [Accepted], locations: &[Location]) -> Result<(), Error> {
        let index = &self.shared.index;
        let mut locations = locations.iter();
        for Accepted { job, .. } in accepted {
            match job {
                Job::Put { record, .. } => {
                    if let Some(at) = locations.next() {
                        index.enter(record.header.key, at)?;
                    }
                }
                Job::Delete { range, more, .. } => *more = index.remove_some(range)?,
                Job::Seal { .. } => {}
                Job::Move { records, lost, .. } => {
                    for ((record, _), at) in records.iter().zip(locations.by_ref()) {
                        index.enter(record.header.key, at)?;
                    }
                    for (key, at) in lost {
                        if index.get(*key)? == Some(*at) {
                            index.remove(*key, at)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn answer(&mut self, accepted: Vec<Accepted>, written: Result<(), Failure>) {
        let full = matches!(written, Err(Failure::NoSpace));
        let fatal = match written {
            Err(Failure::Fatal(error)) => Some(error),
            _ => None,
        };
        // The task that asked may have gone.
        for Accepted { job, .. } in accepted {
            match (&fatal, job) {
                (Some(error), job) => {
                    job.refuse(Error::io("the chunk store is dead", io::Error::other(error.to_string())));
                }
                (None, Job::Delete { more, done, .. }) => drop(done.send(Ok(more))),
                (None, job) if full => job.refuse(Error::NoSpace),
                (None, Job::Put { done, .. } | Job::Move { done, .. } | Job::Seal { done, .. }) => {
                    drop(done.send(Ok(())));
                }
            }
        }
        if let Some(error) = fatal {
            self.shared.fatal.fall(&error);
        }
    }

    fn did(&self, step: DiskStep) -> io::Result<()> {
        self.shared.options.after_disk.as_ref().map_or(Ok(()), |after_disk| after_disk(step))
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
