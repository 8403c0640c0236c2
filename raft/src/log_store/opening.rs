//! Opens one replica's log: reads what the engine holds of it, and refuses a log from which something is missing.

use super::engine::{LogEngine, MetaKind};
use super::positions::{Positions, index_after};
use super::replica::{ReplicaPhase, ReplicaRecord};
use super::volume::Volume;
use crate::ReplicaId;
use crate::codec::{self, LogId, Vote};
use crate::error::Error;

const WHAT: &str = "the Raft log";
/// Read to tell how large entries are: little beside a start, enough for a mean.
const SAMPLE_BYTES: usize = 32 << 10;

/// A log as it lies on the disk.
pub(super) struct Opened {
    pub(super) vote: Option<Vote>,
    pub(super) positions: Positions,
    /// Estimated from the oldest entries.
    pub(super) volume: Volume,
}

/// Reads where the log of `replica` stands. Blocks on the disk.
///
/// Fails with `Error::Tombstone` for a destroyed replica, and with `Error::Corrupt` for a log that has a hole or
/// ends before an entry that it knew committed.
pub(super) fn read(engine: &dyn LogEngine, replica: ReplicaId) -> Result<Opened, Error> {
    if ReplicaRecord::read(engine, replica)?.is_some_and(|record| record.phase == ReplicaPhase::Tombstone) {
        return Err(Error::Tombstone(replica));
    }
    let log_id = |kind| -> Result<Option<LogId>, Error> {
        let record = engine.meta(replica, kind)?;
        record.map(|it| Ok(codec::log_id_from_wire(&codec::open("a log id", it)?))).transpose()
    };
    let vote = match engine.meta(replica, MetaKind::Vote)? {
        Some(record) => Some(codec::vote_from_wire(&codec::open("a vote", record)?)),
        None => None,
    };
    let (purged, committed) = (log_id(MetaKind::LastPurged)?, log_id(MetaKind::Committed)?);
    let after_purged = index_after(purged);
    let last = match engine.last_index(replica)? {
        Some(index) if index >= after_purged => Some(stored_log_id(engine, replica, index)?),
        _ => purged,
    };
    if purged.is_some() && index_after(last) > after_purged {
        // A log that begins behind a hole is not a log.
        stored_log_id(engine, replica, after_purged)?;
    }
    if index_after(committed) > index_after(last) {
        let detail = format!(
            "replica {replica} knew entries up to {} committed, its log ends before {}: synced entries are \
             missing, the replica is lost",
            index_after(committed) - 1,
            index_after(last)
        );
        return Err(Error::corrupt(WHAT, detail));
    }
    let oldest = engine.read(replica, after_purged, u64::MAX, SAMPLE_BYTES)?;
    let sampled: usize = oldest.iter().map(|record| record.bytes.len()).sum();
    let entry_bytes = sampled.checked_div(oldest.len()).unwrap_or(0) as u64;
    let positions = Positions::opened(oldest.first().map(|record| record.index), last, purged, committed);
    let volume = Volume::opened(positions.begin(), positions.end(), entry_bytes);
    Ok(Opened { vote, positions, volume })
}

/// The id of an entry that must be there.
fn stored_log_id(engine: &dyn LogEngine, replica: ReplicaId, index: u64) -> Result<LogId, Error> {
    let found = engine.read(replica, index, index.saturating_add(1), 0)?;
    let Some(record) = found.into_iter().next() else {
        return Err(Error::corrupt(
            WHAT,
            format_args!("replica {replica} has no entry {index} where one must be"),
        ));
    };
    Ok(codec::decode_entry(record.bytes)?.log_id)
}
