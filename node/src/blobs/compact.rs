//! Gives disk space back: empty segments are unlinked, and the live chunks of sparse ones are written anew.

use std::ops::ControlFlow;

use tracing::error;

use super::cursor::{Cursor, Place};
use super::key::{ChunkKey, KeyRange};
use super::queue::{Job, WRITE_BYTES_MAX};
use super::record::{FIRST_RECORD, Header, Location, salt_of};
use super::segments::Record;
use super::shared::{Shared, blocking};
use super::store::BlobStore;
use super::walk::{Found, Walk};
use crate::Error;

/// Moved in one step, give or take a chunk: puts of others find room in the queue meanwhile.
const STEP_BYTES_MAX: u64 = WRITE_BYTES_MAX / 2;
/// Segments unlinked in one step: freeing their blocks keeps the file system busy.
const UNLINKED_MAX: usize = 16;
/// Records looked at in one step, dead ones among them.
const WALKED_MAX: usize = 16 * 1024;
/// The segment that is written is given back once it has this share of a segment's length, and little of it counts.
/// Otherwise a disk smaller than a segment would never get room back.
const WASTED_SHARE: u64 = 16;

/// The result of one step; the default when there was nothing to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompactReport {
    /// Living chunks that were written again.
    pub moved_chunks: u64,
    /// Their records together.
    pub moved_bytes: u64,
    /// Found damaged, and forgotten: their owner fetches them from another replica.
    pub lost: Vec<ChunkKey>,
    /// Segments whose files were removed.
    pub unlinked_segments: u64,
}

#[derive(Default)]
struct Gathered {
    records: Vec<(Record, Location)>,
    lost: Vec<(ChunkKey, Location)>,
    bytes: u64,
}

impl BlobStore {
    /// One bounded step: unlinks some segments, moves some chunks.
    pub async fn compact(&self) -> Result<CompactReport, Error> {
        let mut compacting = self.compacting.lock().await;
        self.seal().await?;
        let mut report =
            CompactReport { unlinked_segments: self.unlink().await?, ..CompactReport::default() };
        let ledger = &self.shared.index.ledger;
        let cursor = compacting.take().filter(|cursor| ledger.live(cursor.segment) > 0).or_else(|| {
            let place = Place::Record(FIRST_RECORD);
            ledger.sparsest().map(|segment| Cursor { segment, place })
        });
        let Some(cursor) = cursor else { return Ok(report) };
        let shared = self.shared.clone();
        let (gathered, place) = blocking(move || shared.gather(cursor)).await?;
        report.moved_chunks = gathered.records.len() as u64;
        report.moved_bytes = gathered.bytes;
        report.lost = gathered.lost.iter().map(|(key, _)| *key).collect();
        if report.moved_chunks > 0 || !report.lost.is_empty() {
            let Gathered { records, lost, .. } = gathered;
            self.ask(|done| Job::Move { records, lost, done }).await?;
        }
        *compacting = Some(Cursor { segment: cursor.segment, place });
        report.unlinked_segments += self.unlink().await?;
        Ok(report)
    }

    /// Seals the newest segment where little of it counts, so that it is compacted like the others.
    async fn seal(&self) -> Result<(), Error> {
        let written_min = self.shared.options.segment_bytes / WASTED_SHARE;
        let Some(segment) = self.shared.index.ledger.wasted(written_min) else { return Ok(()) };
        match self.ask(|done| Job::Seal { segment, done }).await {
            // The next step tries again. Segments without live chunks can go meanwhile.
            Err(Error::NoSpace) => Ok(()),
            sealed => sealed,
        }
    }

    async fn unlink(&self) -> Result<u64, Error> {
        let mut empty = self.shared.index.ledger.empty();
        empty.truncate(UNLINKED_MAX);
        if empty.is_empty() {
            return Ok(0);
        }
        let shared = self.shared.clone();
        blocking(move || {
            // On disk the index may still point there.
            shared.index.sync().inspect_err(|error| shared.fatal.fall(error))?;
            for segment in &empty {
                shared.segments.remove(*segment).map_err(|error| Error::io("unlinking a segment", error))?;
                shared.index.ledger.remove(*segment);
            }
            Ok(empty.len() as u64)
        })
        .await
    }
}

impl Shared {
    /// The next records of a segment that still count, and where to go on.
    fn gather(&self, cursor: Cursor) -> Result<(Gathered, Place), Error> {
        let mut gathered = Gathered::default();
        let file = self.segments.file(cursor.segment).map_err(|error| Error::io("a segment", error))?;
        let end = file.metadata().map_err(|error| Error::io("a segment", error))?.len();
        if let (Place::Record(offset), Some(salt)) = (cursor.place, salt_of(&file)?) {
            let mut walk = Walk::new(file, salt, offset, end);
            for _ in 0..WALKED_MAX {
                let Some(found) = walk.step()? else { return Ok((gathered, Place::Leftovers)) };
                if let Found::Record { offset, header } = found
                    && let Some(at) = self.index.get(header.key)?
                    && at.position() == (cursor.segment, offset)
                {
                    self.pick(header.key, at, &mut gathered)?;
                }
                if gathered.bytes >= STEP_BYTES_MAX {
                    break;
                }
            }
            return Ok((gathered, Place::Record(walk.offset)));
        }
        let mut left = Vec::new();
        let mut bytes = 0;
        self.index.scan(&KeyRange::all(), |key, at| {
            if at.segment == cursor.segment {
                bytes += at.record_bytes();
                left.push((key, at));
            }
            if bytes < STEP_BYTES_MAX { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        for (key, at) in left {
            self.pick(key, at, &mut gathered)?;
        }
        Ok((gathered, Place::Leftovers))
    }

    fn pick(&self, key: ChunkKey, at: Location, gathered: &mut Gathered) -> Result<(), Error> {
        match self.read(key, &at) {
            Ok(body) => {
                let Location { length, crc, written_at_ms, .. } = at;
                let header = Header { key, length, crc, written_at_ms };
                gathered.bytes += header.record_bytes();
                gathered.records.push((Record { header, body: body.into() }, at));
            }
            Err(Error::DamagedChunk(_)) => {
                error!(
                    %key, segment = at.segment, offset = at.offset,
                    "a chunk is damaged on this disk and left behind: it must come from another replica. \
                     Check the disk (SMART, kernel log)"
                );
                gathered.lost.push((key, at));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }
}
