//! Rows of objects: what is known of each, and who is in which state since when.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::OBJECT_ID_BYTES;
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::Error;

use super::read::{Read, load};
use super::tables;

/// Drawn for one upload alone, so that no two bodies share a chunk.
pub type ObjectId = [u8; OBJECT_ID_BYTES];

/// An object's place among those in its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The value of `Object.at`: an age of the shard in ms, or the log index of the PUT of a live object.
    pub at: u64,
    pub id: ObjectId,
}

impl Place {
    /// Before every object of that time.
    pub fn first_at(at: u64) -> Self {
        Self { at, id: [0; OBJECT_ID_BYTES] }
    }
}

/// The row of an object, if it is known.
pub fn object(read: &dyn Read, id: &ObjectId) -> Result<Option<Object>, Error> {
    load(read, &tables::object(id), "object")
}

/// Objects in `state` from a place on, up to `to` inclusive, in order, at most `limit`.
pub fn in_state(
    read: &dyn Read,
    state: State,
    from: Place,
    to: u64,
    limit: usize,
) -> Result<Vec<Place>, Error> {
    let mut places = Vec::new();
    if limit == 0 {
        return Ok(places);
    }
    let start = tables::object_state(state, from.at, &from.id);
    let end = tables::object_state(state, to.saturating_add(1), &[0; OBJECT_ID_BYTES]);
    read.scan(&start, &end, &mut |key, _| {
        places.extend(place(key));
        if places.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(places)
}

fn place(key: &[u8]) -> Option<Place> {
    let (at, id) = key.get(2..)?.split_first_chunk::<8>()?;
    Some(Place { at: u64::from_be_bytes(*at), id: id.try_into().ok()? })
}

/// Whether the object has this row, and the row its place among those in its state. For assertions: nothing decides
/// by it.
pub fn is_kept_as(read: &dyn Read, id: &ObjectId, row: Option<&Object>) -> Result<bool, Error> {
    let place = row.map(|row| tables::object_state(row.state(), row.at, id));
    let is_placed = place.map_or(Ok(true), |place| read.get(&place).map(|found| found.is_some()))?;
    Ok(is_placed && object(read, id)?.as_ref() == row)
}

/// The id in a message.
pub fn parse_id(bytes: &Bytes) -> Option<ObjectId> {
    bytes[..].try_into().ok()
}
