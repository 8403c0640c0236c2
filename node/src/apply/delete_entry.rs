//! DELETE of a file. Disabled and over-quota users may delete.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{DeleteEntry, Outcome};
use rowhouse_proto::wire::state::{Entry, Event};

use super::authorize::{self, Granted};
use super::stop::Stop;
use super::turn::Turn;
use super::{object, outcome, quota};
use crate::state::{Read, records, tables};

/// Existence comes before the write paths (docs/rules/protocol.md#order-of-checks).
pub(super) fn check(read: &dyn Read, command: &DeleteEntry, now_s: u64) -> Result<(Granted, Entry), Stop> {
    let granted = authorize::write(read, command.credential.as_ref(), &command.user, &command.path, now_s)?;
    let entry = records::entry(read, &granted.user, granted.path.as_str())?.ok_or(ErrorCode::NotFound)?;
    authorize::check_allowed_write_path(&granted.account, &granted.path)?;
    Ok((granted, entry))
}

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &DeleteEntry) -> Result<Outcome, Stop> {
    let (Granted { user, path, .. }, entry) = check(&*turn.txn, command, turn.now_s())?;
    let slot = turn.event_slot()?;

    let user = &user;
    let before = records::usage(&*turn.txn, user)?;
    let mut after = quota::after_delete(&before, Some(&entry));
    after.removed_ms = after.removed_ms.max(entry.modified_ms);
    turn.txn.delete(tables::entry(user, path.as_str()));
    object::discard_body(turn, user, path.as_str(), &entry)?;
    turn.store_usage(user, &before, &after);
    let event = Event { user: command.user.clone(), path: path.as_str().to_owned(), hash: Bytes::new() };
    turn.emit(slot, user, &event);
    Ok(outcome::done())
}
