//! DELETE of a file. Disabled and over-quota users may delete.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{DeleteEntry, Outcome};
use rowhouse_proto::wire::state::{Entry, Event, Shard};

use super::authorize::{self, Granted};
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::lock::{self, Held};
use super::turn::Turn;
use super::{conditions, object, outcome, quota};
use crate::state::{Read, records, tables};

/// A DELETE that may happen.
struct Accepted {
    granted: Granted,
    entry: Entry,
    held: Option<Held>,
}

/// The whole decision. The lock comes before existence, and existence before the write paths
/// (docs/rules/protocol.md#order-of-checks).
fn accept(read: &dyn Read, shard: &Shard, command: &DeleteEntry) -> Result<Accepted, ApplyError> {
    let DeleteEntry { credential, user, path, conditions } = command;
    let granted = authorize::write(read, credential.as_ref(), user, path, shard.now_ms / 1000)?;
    let presented = conditions.as_ref().and_then(|conditions| conditions.held.as_ref());
    let held =
        if granted.by_operator { None } else { lock::check(read, shard, &granted.user, path, presented)? };
    let entry = records::entry(read, &granted.user, granted.path.as_str())?.ok_or(ErrorCode::NotFound)?;
    authorize::check_allowed_write_path(&granted)?;
    conditions::check(conditions.as_ref(), Some(&entry))?;
    Ok(Accepted { granted, entry, held })
}

impl ShardCommand for DeleteEntry {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, &proposal.shard, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let Accepted { granted, entry, held } = accept(&*turn.txn, &turn.shard, self)?;
        let Granted { user, path, .. } = granted;
        let slot = turn.event_slot()?;

        let user = &user;
        let before = records::usage(&*turn.txn, user)?;
        let mut after = quota::after_delete(&before, Some(&entry));
        after.removed_ms = after.removed_ms.max(entry.modified_ms);
        turn.txn.delete(tables::entry(user, path.as_str()));
        object::discard_body(turn, user, path.as_str(), &entry)?;
        turn.store_usage(user, &before, &after);
        lock::keep(turn, user, path.as_str(), held)?;
        let event = Event { user: self.user.clone(), path: path.as_str().to_owned(), hash: Bytes::new() };
        turn.emit(slot, user, &event);
        Ok(outcome::done())
    }
}
