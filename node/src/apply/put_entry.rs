//! PUT of a file whose body travels in the log: entry, body, usage, event, in one transaction.

use std::ops::ControlFlow;

use pubky_common::StoragePath;
use rowhouse_proto::domain::path::ancestors;
use rowhouse_proto::wire::command::{Outcome, PutEntry};
use rowhouse_proto::wire::state::{Entry, Event, Usage};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};
use rowhouse_raft::Error;

use super::authorize::{self, Granted};
use super::stop::Stop;
use super::turn::Turn;
use super::{outcome, quota};
use crate::state::{Read, records, tables};
use rowhouse_proto::domain::user::UserKey;

/// BLAKE3-256.
const HASH_BYTES: usize = 32;

/// What is known of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// By a Content-Length header: the quota is judged before write paths and collisions (errata 10).
    Declared(u64),
    /// By having read it: the quota is judged last.
    Counted(u64),
}

impl Length {
    fn bytes(self) -> u64 {
        match self {
            Self::Declared(bytes) | Self::Counted(bytes) => bytes,
        }
    }
}

/// A PUT that may happen, and what it changes.
pub(super) struct Accepted {
    user: UserKey,
    path: StoragePath,
    before: Usage,
    after: Usage,
}

/// The whole decision of client-api.md §4.2, in its order.
pub(super) fn check(
    read: &dyn Read,
    command: &PutEntry,
    length: Length,
    now_s: u64,
) -> Result<Accepted, Stop> {
    let granted = authorize::write(read, command.credential.as_ref(), &command.user, &command.path, now_s)?;
    let Granted { user, path, account } = granted;
    if account.disabled {
        return Err(ErrorCode::UserDisabled.into());
    }
    let before = records::usage(read, &user)?;
    let previous = records::entry(read, &user, path.as_str())?;
    let after = quota::after_put(&before, previous.as_ref(), length.bytes());
    if matches!(length, Length::Declared(_)) {
        quota::check(&account, &after)?;
    }
    authorize::check_allowed_write_path(&account, &path)?;
    // A file that is there collides with nothing, or it would not be there.
    if previous.is_none() && collides(read, &user, &path)? {
        return Err(ErrorCode::PathCollision.into());
    }
    quota::check(&account, &after)?;
    Ok(Accepted { user, path, before, after })
}

/// A file may be no directory's name, and lie below no file.
fn collides(read: &dyn Read, user: &UserKey, path: &StoragePath) -> Result<bool, Error> {
    let user = &user;
    let mut found = false;
    let below = tables::entry(user, &format!("{path}/"));
    let end = tables::entry(user, &format!("{path}0"));
    read.scan(&below, &end, &mut |_, _| {
        found = true;
        ControlFlow::Break(())
    })?;
    for ancestor in ancestors(path) {
        found = found || records::entry(read, user, ancestor)?.is_some();
    }
    Ok(found)
}

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &PutEntry) -> Result<Outcome, Stop> {
    let length = command.body.len() as u64;
    let accepted = check(&*turn.txn, command, Length::Declared(length), turn.now_s())?;
    if command.body.len() > INLINE_BODY_BYTES_MAX {
        return Err(ErrorCode::BodyTooLarge.into());
    }
    if command.hash.len() != HASH_BYTES {
        return Err(ErrorCode::Internal.into());
    }
    let slot = turn.event_slot()?;

    let Accepted { user, path, before, after } = accepted;
    let user = &user;
    let entry = Entry {
        hash: command.hash.clone(),
        length,
        content_type: command.content_type.clone(),
        modified_ms: turn.now_ms(),
    };
    turn.txn.put(tables::entry(user, path.as_str()), records::encode(&entry));
    turn.txn.put(tables::body(user, path.as_str()), records::wrap_raw(&command.body));
    turn.store_usage(user, &before, &after);
    let event =
        Event { user: command.user.clone(), path: path.as_str().to_owned(), hash: command.hash.clone() };
    turn.emit(slot, user, &event);
    Ok(outcome::done())
}
