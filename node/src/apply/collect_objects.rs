//! Moves due objects one state on, a bounded number at a time: uploads whose time is over and bodies no
//! reader can be at any more die; the dead are forgotten once replicas had time to erase them. One that was
//! away that long finds chunks no row knows and sweeps them.

use rowhouse_proto::wire::command::CollectObjects;
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::Error;

use super::object;
use super::turn::Turn;
use crate::state::objects::{self, Place};

/// Moves of each kind in one command.
pub const COLLECT_MAX: usize = 256;

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &CollectObjects) -> Result<(), Error> {
    let age_ms = turn.age_ms();
    // The dead first, so that none takes two steps at once.
    let before_ms = age_ms.checked_sub(command.grace_ms);
    for (place, row) in due(turn, State::Dead, before_ms)? {
        object::forget(turn, place.id, &row)?;
    }
    for (state, due_ms) in [(State::Garbage, before_ms), (State::Staged, Some(age_ms))] {
        for (place, row) in due(turn, state, due_ms)? {
            object::move_on(turn, place.id, &row, State::Dead)?;
        }
    }
    Ok(())
}

/// Nothing is due before the shard is as old as the grace.
fn due(turn: &Turn<'_, '_>, state: State, due_ms: Option<u64>) -> Result<Vec<(Place, Object)>, Error> {
    let Some(due_ms) = due_ms else { return Ok(Vec::new()) };
    let places = objects::in_state(&*turn.txn, state, Place::first_at(0), due_ms, COLLECT_MAX)?;
    let mut rows = Vec::with_capacity(places.len());
    for place in places {
        rows.extend(objects::object(&*turn.txn, &place.id)?.map(|row| (place, row)));
    }
    Ok(rows)
}
