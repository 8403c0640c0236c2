//! Recovery at each start: index and segments agree when it is done.
//!
//! No acknowledged chunk is given up. A tail may be cut off only behind the last whole record and behind everything
//! that the index names. It was never synced as a whole, so nobody was told of it.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use tracing::{error, info, warn};

use super::index::Index;
use super::key::KeyRange;
use super::record::{FIRST_RECORD, Header, Location, read_chunk, salt_of};
use super::segments::{Active, Segments};
use super::walk::{Found, Walk};
use crate::Error;

/// Makes index and ledger true again, and returns the segment to go on writing: the newest, or a new one.
///
/// Fails on errors of the disk. Damage is logged and passed over: other replicas have the chunks.
pub(super) fn recover(index: &Index, segments: &Segments) -> Result<Active, Error> {
    let lengths = segments.lengths().map_err(|error| Error::io("listing segments", error))?;
    let checkpoint = index.checkpoint()?;
    let newest = lengths.last_key_value().map(|(id, _)| *id);
    for (&id, &length) in &lengths {
        index.ledger.set_length(id, length);
    }
    let indexed_end = check_entries(index, &lengths, newest)?;
    let mut active = None;
    for (&id, &length) in &lengths {
        if id < checkpoint.0 && Some(id) != newest {
            continue;
        }
        let from = if id == checkpoint.0 { checkpoint.1 } else { 0 };
        let scanned = scan(index, segments, id, from.max(FIRST_RECORD), length)?;
        if Some(id) == newest
            && let Some((salt, end)) = scanned
        {
            let end = end.max(indexed_end).min(length);
            if end < length {
                info!(segment = id, bytes = length - end, "cut off a torn tail");
            }
            let resumed = segments.resume(id, salt, end);
            active = Some(resumed.map_err(|error| Error::io("opening the newest segment", error))?);
        }
    }
    let active = match active {
        Some(active) => active,
        None => {
            let id = newest.unwrap_or_default().max(checkpoint.0) + 1;
            segments.create(id).map_err(|error| Error::io("beginning a segment", error))?
        }
    };
    index.ledger.set_length(active.id, active.length);
    index.set_checkpoint((active.id, active.length))?;
    Ok(active)
}

/// Removes entries that point at nothing, counts the others; returns where the last one of the newest
/// segment ends.
fn check_entries(index: &Index, lengths: &BTreeMap<u64, u64>, newest: Option<u64>) -> Result<u64, Error> {
    let (mut strays, mut indexed_end) = (Vec::new(), 0);
    index.scan(&KeyRange::all(), |key, at| {
        let end = at.offset.saturating_add(at.record_bytes());
        if lengths.get(&at.segment).is_none_or(|length| end > *length) {
            strays.push(key);
            return ControlFlow::Continue(());
        }
        index.count(key, &at);
        if Some(at.segment) == newest {
            indexed_end = indexed_end.max(end);
        }
        ControlFlow::Continue(())
    })?;
    if !strays.is_empty() {
        warn!(entries = strays.len(), "the index named chunks that no segment holds (any more)");
    }
    for key in strays {
        index.remove_uncounted(key)?;
    }
    Ok(indexed_end)
}

/// Enters what the index lacks. The segment's salt, and where its last whole record ends; `None` if the
/// segment cannot be read at all.
fn scan(
    index: &Index,
    segments: &Segments,
    id: u64,
    from: u64,
    length: u64,
) -> Result<Option<(u64, u64)>, Error> {
    const WHAT: &str = "reading a segment";
    // Records that are found must be as durable as acknowledged ones.
    segments.settle(id).map_err(|error| Error::io("syncing a segment", error))?;
    let file = segments.file(id).map_err(|error| Error::io(WHAT, error))?;
    let Some(salt) = salt_of(&file)? else {
        if length > FIRST_RECORD {
            error!(
                segment = id,
                "a segment is damaged at its beginning: its chunks come from other replicas"
            );
        }
        return Ok(None);
    };
    let mut walk = Walk::new(file.clone(), salt, from, length);
    let (mut end, mut entered, mut damaged) = (from.min(length), 0, Vec::new());
    while let Some(found) = walk.step()? {
        let (offset, header) = match found {
            Found::Gap { from, to } => {
                damaged.push((from, to));
                continue;
            }
            Found::Record { offset, header } => (offset, header),
        };
        let at = location(id, offset, &header);
        let known = index.get(header.key)?.map(|known| known.position());
        if known < Some(at.position()) {
            match read_chunk(&file, header.key, &at) {
                Ok(_) => index.enter(header.key, &at)?,
                Err(Error::DamagedChunk(_)) => {
                    walk.skip(offset)?;
                    damaged.push((offset, walk.offset));
                    continue;
                }
                Err(error) => return Err(error),
            }
            entered += 1;
        }
        end = walk.offset;
    }
    for (from, to) in damaged.into_iter().filter(|(from, _)| *from < end) {
        error!(segment = id, from, to, "damaged bytes: if they held a chunk, it comes from another replica");
    }
    if entered > 0 {
        info!(segment = id, entered, "the index had lost entries");
    }
    Ok(Some((salt, end)))
}

fn location(segment: u64, offset: u64, header: &Header) -> Location {
    let Header { length, crc, written_at_ms, .. } = *header;
    Location { segment, offset, length, crc, written_at_ms }
}
