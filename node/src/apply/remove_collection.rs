//! Removes a collection with everything below it, in one step: each file with its own event.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Outcome, RemoveCollection};
use rowhouse_proto::wire::state::Event;

use super::commands::{Proposal, ShardCommand};
use super::disable_user::account;
use super::error::ApplyError;
use super::tree::{self, Tree};
use super::turn::Turn;
use super::{object, outcome, quota};
use crate::state::collections::{Found, find};
use crate::state::{Read, records, tables};

fn accept(read: &dyn Read, command: &RemoveCollection) -> Result<(UserKey, Tree), ApplyError> {
    let (user, _) = account(read, &command.user)?;
    let path = tree::writable_collection(&command.path)?;
    match find(read, &user, &path)? {
        Found::Collection => {}
        Found::File(_) | Found::Nothing => return Err(ErrorCode::NotFound.into()),
    }
    let tree = Tree::below(read, &user, path.as_str())?;
    Ok((user, tree))
}

impl ShardCommand for RemoveCollection {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, Tree { files, collections }) = accept(&*turn.txn, self)?;
        turn.check_event_room(files.len())?;

        let before = records::usage(&*turn.txn, &user)?;
        let mut after = before;
        for (path, entry) in &files {
            after = quota::after_delete(&after, Some(entry));
            after.removed_ms = after.removed_ms.max(entry.modified_ms);
            turn.txn.delete(tables::entry(&user, path));
            object::discard_body(turn, &user, path, entry)?;
            let slot = turn.event_slot()?;
            turn.emit(
                slot,
                &user,
                &Event { user: self.user.clone(), path: path.clone(), hash: Bytes::new() },
            );
        }
        for directory in &collections {
            turn.txn.delete(tables::collection(&user, directory));
        }
        if !files.is_empty() {
            turn.store_usage(&user, &before, &after);
        }
        Ok(outcome::done())
    }
}
