//! DELETE of a file. Disabled and over-quota users may delete.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{DeleteEntry, Outcome};
use rowhouse_proto::wire::state::{Entry, Event};

use super::authorize::{self, Granted};
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{object, outcome, quota};
use crate::state::{Read, records, tables};

/// The whole decision. Existence comes before the write paths (docs/rules/protocol.md#order-of-checks).
fn accept(read: &dyn Read, command: &DeleteEntry, now_s: u64) -> Result<(Granted, Entry), ApplyError> {
    let granted = authorize::write(read, command.credential.as_ref(), &command.user, &command.path, now_s)?;
    let entry = records::entry(read, &granted.user, granted.path.as_str())?.ok_or(ErrorCode::NotFound)?;
    authorize::check_allowed_write_path(&granted)?;
    Ok((granted, entry))
}

impl ShardCommand for DeleteEntry {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self, proposal.now_s()).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (Granted { user, path, .. }, entry) = accept(&*turn.txn, self, turn.now_s())?;
        let slot = turn.event_slot()?;

        let user = &user;
        let before = records::usage(&*turn.txn, user)?;
        let mut after = quota::after_delete(&before, Some(&entry));
        after.removed_ms = after.removed_ms.max(entry.modified_ms);
        turn.txn.delete(tables::entry(user, path.as_str()));
        object::discard_body(turn, user, path.as_str(), &entry)?;
        turn.store_usage(user, &before, &after);
        let event = Event { user: self.user.clone(), path: path.as_str().to_owned(), hash: Bytes::new() };
        turn.emit(slot, user, &event);
        Ok(outcome::done())
    }
}
