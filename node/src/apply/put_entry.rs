//! PUT of a file: entry, body or the object that holds it, usage, event, in one transaction.

use std::ops::ControlFlow;

use bytes::Bytes;
use pubky_common::StoragePath;
use rowhouse_proto::domain::path::ancestors;
use rowhouse_proto::wire::command::{Credential, Outcome, PutEntry};
use rowhouse_proto::wire::state::{Entry, Event, Usage, User};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};
use rowhouse_raft::Error;

use super::authorize::{self, Granted};
use super::stop::Stop;
use super::turn::Turn;
use super::{modified, object, outcome, physical, quota};
use crate::state::{Read, records, tables};
use rowhouse_proto::domain::user::UserKey;

/// BLAKE3-256.
const HASH_BYTES: usize = 32;

/// What is known of a body's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// By a Content-Length header: the quota is judged before write paths and collisions
    /// (docs/rules/protocol.md#quotas).
    Declared(u64),
    /// By having read it: the quota is judged last.
    Counted(u64),
    /// Not before the body has come: the quota is judged then.
    Unknown,
}

/// What a PUT is about, also before its body is there.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) credential: Option<&'a Credential>,
    pub(super) user: &'a Bytes,
    pub(super) path: &'a str,
}

impl<'a> From<&'a PutEntry> for Target<'a> {
    fn from(put: &'a PutEntry) -> Self {
        Self { credential: put.credential.as_ref(), user: &put.user, path: &put.path }
    }
}

/// A PUT that may happen, and what it changes.
pub(super) struct Accepted {
    user: UserKey,
    path: StoragePath,
    account: User,
    previous: Option<Entry>,
    before: Usage,
    after: Usage,
}

impl Accepted {
    /// Whose file it is.
    pub(super) fn owner(self) -> (UserKey, User) {
        (self.user, self.account)
    }
}

/// The whole decision, in the order of docs/rules/protocol.md#order-of-checks.
pub(super) fn check(
    read: &dyn Read,
    target: Target<'_>,
    length: Length,
    now_s: u64,
) -> Result<Accepted, Stop> {
    let granted = authorize::write(read, target.credential, target.user, target.path, now_s)?;
    let Granted { user, path, account } = granted;
    if account.disabled {
        return Err(ErrorCode::UserDisabled.into());
    }
    let before = records::usage(read, &user)?;
    let previous = records::entry(read, &user, path.as_str())?;
    let after = |bytes| quota::after_put(&before, previous.as_ref(), bytes);
    if let Length::Declared(bytes) = length {
        quota::check(&account, &after(bytes))?;
    }
    authorize::check_allowed_write_path(&account, &path)?;
    // A file that is there collides with nothing, or it would not be there.
    if previous.is_none() && collides(read, &user, &path)? {
        return Err(ErrorCode::PathCollision.into());
    }
    let after = match length {
        Length::Declared(bytes) => after(bytes),
        Length::Counted(bytes) => {
            let after = after(bytes);
            quota::check(&account, &after)?;
            after
        }
        Length::Unknown => before,
    };
    Ok(Accepted { user, path, account, previous, before, after })
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

/// How long the command's body is, and that it has one and can be stored.
fn body_length(command: &PutEntry) -> Result<u64, ErrorCode> {
    match &command.object {
        Some(object) if command.body.is_empty() => Ok(object.length),
        Some(_) => Err(ErrorCode::Internal),
        None if command.body.len() > INLINE_BODY_BYTES_MAX => Err(ErrorCode::BodyTooLarge),
        None => Ok(command.body.len() as u64),
    }
}

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &PutEntry) -> Result<Outcome, Stop> {
    let length = body_length(command);
    let declared = Length::Declared(length.unwrap_or(command.body.len() as u64));
    let accepted = check(&*turn.txn, command.into(), declared, turn.now_s())?;
    let length = length?;
    if command.hash.len() != HASH_BYTES {
        return Err(ErrorCode::Internal.into());
    }
    let staged = match &command.object {
        Some(staged) => Some(object::staged(turn, &staged.id, &accepted.user)?),
        None => None,
    };
    if let Some(staged) = &staged {
        let grows_by = length.saturating_sub(staged.reserved());
        physical::check_growth(&*turn.txn, &accepted.account, &accepted.user, grows_by)?;
    }
    let slot = turn.event_slot()?;

    let Accepted { user, path, previous, before, after, .. } = accepted;
    let user = &user;
    let entry = Entry {
        hash: command.hash.clone(),
        length,
        content_type: command.content_type.clone(),
        modified_ms: modified::time(turn.now_ms(), &command.hash, previous.as_ref(), &before),
        object: command.object.as_ref().map(|object| object.id.clone()).unwrap_or_default(),
    };
    turn.txn.put(tables::entry(user, path.as_str()), records::encode(&entry));
    if let Some(previous) = previous {
        object::discard_body(turn, user, path.as_str(), &previous)?;
    }
    match staged {
        Some(staged) => object::commit(turn, staged, &entry)?,
        None => turn.txn.put(tables::body(user, path.as_str()), records::wrap_raw(&command.body)),
    }
    turn.store_usage(user, &before, &after);
    let event =
        Event { user: command.user.clone(), path: path.as_str().to_owned(), hash: command.hash.clone() };
    turn.emit(slot, user, &event);
    Ok(outcome::done())
}
