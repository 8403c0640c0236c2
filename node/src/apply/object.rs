//! An object's way from state to state. Its row and its place in the index of its state change together, and only
//! here. Chunks on disks follow the rows, never the other way round (docs/rules/storage.md#chunks-follow-rows).

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Entry, Object, object::State};
use rowhouse_raft::Error;

use super::error::ApplyError;
use super::turn::Turn;
use super::{object_step, physical};
use crate::planted;
use crate::state::objects::{self, ObjectId, parse_id};
use crate::state::{records, tables};

/// Most uploads of a shard that are neither committed nor expired.
pub(super) const UPLOADS_MAX: u64 = 1 << 16;

/// The row of an upload that may be committed now.
pub(super) struct Staged {
    id: ObjectId,
    row: Object,
}

impl Staged {
    /// Bytes that are counted for the upload so far.
    pub(super) fn reserved(&self) -> u64 {
        self.row.length
    }
}

/// Begins an upload; a second time for the same object changes nothing but its time.
pub(super) fn stage(
    turn: &mut Turn<'_, '_>,
    id: ObjectId,
    user: &UserKey,
    until_ms: u64,
    reserved: u64,
) -> Result<(), ApplyError> {
    if objects::object(&*turn.txn, &id)?.is_some() {
        return renew(turn, id, user, until_ms, reserved);
    }
    if turn.shard.uploads >= UPLOADS_MAX {
        return Err(ErrorCode::GuardTableFull.into());
    }
    store(turn, id, None, Some(&staged_row(user, until_ms, reserved)))?;
    Ok(())
}

/// Gives a running upload more time. An upload that is not known any more may have lost chunks already, and must never
/// come back.
pub(super) fn renew(
    turn: &mut Turn<'_, '_>,
    id: ObjectId,
    user: &UserKey,
    until_ms: u64,
    reserved: u64,
) -> Result<(), ApplyError> {
    let before = objects::object(&*turn.txn, &id)?;
    let reserved = match &before {
        Some(row) if row.state() == State::Staged && row.user == user[..] => reserved.max(row.length),
        _ => return Err(ErrorCode::UploadExpired.into()),
    };
    store(turn, id, before.as_ref(), Some(&staged_row(user, until_ms, reserved)))?;
    Ok(())
}

fn staged_row(user: &UserKey, until_ms: u64, reserved: u64) -> Object {
    Object { at: until_ms, length: reserved, user: Bytes::copy_from_slice(user), ..Object::default() }
}

/// The upload a PUT refers to, while it has time left.
pub(super) fn staged(turn: &Turn<'_, '_>, id: &Bytes, user: &UserKey) -> Result<Staged, ApplyError> {
    let id = parse_id(id).ok_or(ErrorCode::Internal)?;
    let row = objects::object(&*turn.txn, &id)?;
    match row {
        Some(row) if row.state() == State::Staged && row.user == user[..] && row.at > turn.age_ms() => {
            Ok(Staged { id, row })
        }
        _ => Err(ErrorCode::UploadExpired.into()),
    }
}

/// Makes an upload the body of an entry.
pub(super) fn commit(turn: &mut Turn<'_, '_>, staged: Staged, entry: &Entry) -> Result<(), Error> {
    let mut row =
        Object { at: turn.log_index(), length: entry.length, hash: entry.hash.clone(), ..staged.row.clone() };
    row.set_state(State::Live);
    store(turn, staged.id, Some(&staged.row), Some(&row))
}

/// Takes the body from an entry. Readers of an object may still be at it, so that it becomes garbage first.
pub(super) fn discard_body(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    path: &str,
    entry: &Entry,
) -> Result<(), Error> {
    let Some(id) = parse_id(&entry.object) else {
        turn.txn.delete(tables::body(user, path));
        return Ok(());
    };
    let row = objects::object(&*turn.txn, &id)?
        .ok_or_else(|| Error::corrupt("object", "an entry refers to one that is not there"))?;
    let next = if planted::erase_at_overwrite() { State::Dead } else { State::Garbage };
    move_on(turn, id, &row, next)
}

/// Moves an object to another state, from now on.
pub(super) fn move_on(
    turn: &mut Turn<'_, '_>,
    id: ObjectId,
    row: &Object,
    state: State,
) -> Result<(), Error> {
    let mut next = Object { at: turn.age_ms(), ..row.clone() };
    next.set_state(state);
    store(turn, id, Some(row), Some(&next))
}

/// Deletes the row of an object whose chunks are erased.
pub(super) fn forget(turn: &mut Turn<'_, '_>, id: ObjectId, row: &Object) -> Result<(), Error> {
    store(turn, id, Some(row), None)
}

/// Changes a row, its place in the index and the counters together. No other place changes a row, so that counters
/// cannot differ from rows.
fn store(
    turn: &mut Turn<'_, '_>,
    id: ObjectId,
    before: Option<&Object>,
    after: Option<&Object>,
) -> Result<(), Error> {
    debug_assert!(object_step::is_allowed(before, after), "an object goes from {before:?} to {after:?}");
    debug_assert!(objects::is_kept_as(&*turn.txn, &id, before)?, "an object is not what it was read as");
    physical::count(turn, before, after)?;
    if let Some(before) = before {
        turn.txn.delete(tables::object_state(before.state(), before.at, &id));
    }
    match after {
        Some(after) => {
            turn.txn.put(tables::object(&id), records::encode(after));
            turn.txn.put(tables::object_state(after.state(), after.at, &id), Bytes::new());
        }
        None => turn.txn.delete(tables::object(&id)),
    }
    debug_assert!(objects::is_kept_as(&*turn.txn, &id, after)?, "an object's row and place differ");
    Ok(())
}
