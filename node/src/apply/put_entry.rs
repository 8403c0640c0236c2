//! PUT of a file: entry, body or the object that holds it, usage, event, in one transaction.

use std::ops::ControlFlow;

use bytes::Bytes;
use pubky_common::StoragePath;
use rowhouse_proto::domain::path::ancestors;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Credential, Outcome, PutEntry};
use rowhouse_proto::wire::entry::Conditions;
use rowhouse_proto::wire::state::{Entry, Event, Shard, Usage};
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};
use rowhouse_raft::Error;

use super::authorize;
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::lock::{self, Held};
use super::turn::Turn;
use super::{conditions, modified, object, outcome, physical, quota};
use crate::state::{Read, records, tables};

/// Length of a BLAKE3 hash.
const HASH_BYTES: usize = 32;

/// A body's length in bytes, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// A Content-Length header told it: the quota is judged before write paths and collisions
    /// (docs/rules/protocol.md#quotas).
    Declared(u64),
    /// The body was read: the quota is judged last.
    Counted(u64),
    /// Nothing, before the body has come: the quota is judged then.
    Unknown,
}

/// Who wants to write where: all that is known of a PUT before its body is there.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) credential: Option<&'a Credential>,
    pub(super) user: &'a Bytes,
    pub(super) path: &'a str,
    /// Of users without a storage quota of their own; `None`: no limit.
    pub(super) default_quota_bytes: Option<u64>,
    pub(super) conditions: Option<&'a Conditions>,
    /// Whether the path may be locked by another writer by now: it was free when the body began to come.
    pub(super) began_unlocked: bool,
}

impl<'a> From<&'a PutEntry> for Target<'a> {
    fn from(put: &'a PutEntry) -> Self {
        Self {
            credential: put.credential.as_ref(),
            user: &put.user,
            path: &put.path,
            default_quota_bytes: put.default_quota_bytes,
            conditions: put.conditions.as_ref(),
            began_unlocked: put.object.is_some(),
        }
    }
}

/// A PUT that may happen, and what it changes.
pub(super) struct Accepted {
    user: UserKey,
    path: StoragePath,
    quota_bytes: Option<u64>,
    previous: Option<Entry>,
    held: Option<Held>,
    before: Usage,
    after: Usage,
}

impl Accepted {
    /// The user whose file it is, and the bytes they may store.
    pub(super) fn owner(self) -> (UserKey, Option<u64>) {
        (self.user, self.quota_bytes)
    }
}

/// The whole decision, in the order of docs/rules/protocol.md#order-of-checks.
pub(super) fn accept(
    read: &dyn Read,
    shard: &Shard,
    target: Target<'_>,
    length: Length,
) -> Result<Accepted, ApplyError> {
    let now_s = shard.now_ms / 1000;
    let granted = authorize::write(read, target.credential, target.user, target.path, now_s)?;
    if granted.account.disabled && !granted.by_operator {
        return Err(ErrorCode::UserDisabled.into());
    }
    let quota_bytes = quota::storage_bytes(granted.account.quota.as_ref(), target.default_quota_bytes);
    let (user, path) = (granted.user, &granted.path);
    let before = records::usage(read, &user)?;
    let previous = records::entry(read, &user, path.as_str())?;
    let after = |bytes| quota::after_put(&before, previous.as_ref(), bytes);
    if let Length::Declared(bytes) = length {
        quota::check(quota_bytes, &after(bytes))?;
    }
    let held = if granted.by_operator { None } else { check_lock(read, shard, target, &user)? };
    authorize::check_allowed_write_path(&granted)?;
    // A file that is there collides with nothing, or it would not be there.
    if previous.is_none() && collides(read, &user, path)? {
        return Err(ErrorCode::PathCollision.into());
    }
    let after = match length {
        Length::Declared(bytes) => after(bytes),
        Length::Counted(bytes) => {
            let after = after(bytes);
            quota::check(quota_bytes, &after)?;
            after
        }
        Length::Unknown => before,
    };
    conditions::check(target.conditions, previous.as_ref())?;
    Ok(Accepted { user, path: granted.path, quota_bytes, previous, held, before, after })
}

/// A write that presents no lock does not hold one off that is taken while its body comes
/// (docs/rules/protocol.md#locks).
fn check_lock(
    read: &dyn Read,
    shard: &Shard,
    target: Target<'_>,
    user: &UserKey,
) -> Result<Option<Held>, ApplyError> {
    let presented = target.conditions.and_then(|conditions| conditions.held.as_ref());
    if presented.is_none() && target.began_unlocked {
        return Ok(None);
    }
    lock::check(read, shard, user, target.path, presented)
}

/// Whether the path is the name of a directory, or lies below a file.
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

/// The length of the command's body in bytes, if it has one body and that can be stored.
fn body_length(command: &PutEntry) -> Result<u64, ErrorCode> {
    match &command.object {
        Some(object) if command.body.is_empty() => Ok(object.length),
        Some(_) => Err(ErrorCode::Internal),
        None if command.body.len() > INLINE_BODY_BYTES_MAX => Err(ErrorCode::BodyTooLarge),
        None => Ok(command.body.len() as u64),
    }
}

impl ShardCommand for PutEntry {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let counted = Length::Counted(self.body.len() as u64);
        let length = proposal.content_length.map_or(counted, Length::Declared);
        accept(proposal.read, &proposal.shard, self.into(), length).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let length = body_length(self);
        let declared = Length::Declared(length.unwrap_or(self.body.len() as u64));
        let accepted = accept(&*turn.txn, &turn.shard, self.into(), declared)?;
        let length = length?;
        if self.hash.len() != HASH_BYTES {
            return Err(ErrorCode::Internal.into());
        }
        let staged = match &self.object {
            Some(staged) => Some(object::staged(turn, &staged.id, &accepted.user)?),
            None => None,
        };
        if let Some(object) = &self.object {
            turn.check_copies(&object.holders)?;
        }
        if let Some(staged) = &staged {
            let grows_by = length.saturating_sub(staged.reserved());
            physical::check_growth(&*turn.txn, accepted.quota_bytes, &accepted.user, grows_by)?;
        }
        let slot = turn.event_slot()?;

        let Accepted { user, path, previous, held, before, after, .. } = accepted;
        let user = &user;
        let entry = Entry {
            hash: self.hash.clone(),
            length,
            content_type: self.content_type.clone(),
            modified_ms: modified::time(turn.now_ms(), &self.hash, previous.as_ref(), &before),
            object: self.object.as_ref().map(|object| object.id.clone()).unwrap_or_default(),
        };
        turn.txn.put(tables::entry(user, path.as_str()), records::encode(&entry));
        if let Some(previous) = previous {
            object::discard_body(turn, user, path.as_str(), &previous)?;
        }
        match staged {
            Some(staged) => object::commit(turn, staged, &entry)?,
            None => turn.txn.put(tables::body(user, path.as_str()), records::wrap_raw(&self.body)),
        }
        turn.store_usage(user, &before, &after);
        lock::keep(turn, user, path.as_str(), held)?;
        let event =
            Event { user: self.user.clone(), path: path.as_str().to_owned(), hash: self.hash.clone() };
        turn.emit(slot, user, &event);
        Ok(outcome::done())
    }
}
