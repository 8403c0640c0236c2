//! Moves due objects one state on, a bounded number at a time: uploads whose time is over and bodies no
//! reader can be at any more die; the dead are forgotten once replicas had time to erase them. One that was
//! away that long finds chunks no row knows and sweeps them.

use rowhouse_proto::wire::command::CollectObjects;
use rowhouse_proto::wire::state::object::State;
use rowhouse_raft::Error;

use super::object;
use super::turn::Turn;
use crate::state::objects::{self, Place};

/// Moves of each kind in one command.
pub const COLLECT_MAX: usize = 256;

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &CollectObjects) -> Result<(), Error> {
    let now_ms = turn.now_ms();
    // The dead first, so that none takes two steps at once.
    let Some(before_ms) = now_ms.checked_sub(command.grace_ms) else { return Ok(()) };
    for place in objects::in_state(&*turn.txn, State::Dead, Place::first_at(0), before_ms, COLLECT_MAX)? {
        if let Some(row) = objects::object(&*turn.txn, &place.id)? {
            object::forget(turn, place.id, &row)?;
        }
    }
    for (state, due_ms) in [(State::Garbage, before_ms), (State::Staged, now_ms)] {
        for place in objects::in_state(&*turn.txn, state, Place::first_at(0), due_ms, COLLECT_MAX)? {
            if let Some(row) = objects::object(&*turn.txn, &place.id)? {
                object::move_on(turn, place.id, &row, State::Dead)?;
            }
        }
    }
    Ok(())
}
