//! Moves due objects one state on, a bounded number at a time.
//!
//! Uploads whose time is over die, and so do bodies that no reader can be at any more. The dead are forgotten once
//! replicas had time to erase them. A replica that was away longer finds chunks without a row and sweeps them.

use rowhouse_proto::wire::command::{CollectObjects, Outcome};
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::Error;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{object, outcome};
use crate::state::objects::{self, Place};

/// Moves of each kind in one command.
pub const COLLECT_MAX: usize = 256;

impl ShardCommand for CollectObjects {
    fn check(&self, _: &Proposal<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let age_ms = turn.age_ms();
        // The dead first, so that none takes two steps at once.
        let before_ms = age_ms.checked_sub(self.grace_ms);
        for (place, row) in due(turn, State::Dead, before_ms)? {
            object::forget(turn, place.id, &row)?;
        }
        for (state, due_ms) in [(State::Garbage, before_ms), (State::Staged, Some(age_ms))] {
            for (place, row) in due(turn, state, due_ms)? {
                object::move_on(turn, place.id, &row, State::Dead)?;
            }
        }
        Ok(outcome::done())
    }

    fn is_upkeep(&self) -> bool {
        true
    }
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
