//! Gives a file, or a collection with everything below it, another path, in one step. Objects stay where they are, and
//! only their entries move. Each file has two events: it is gone from its old path, and at its new one.

use bytes::Bytes;
use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::ancestors;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{MoveEntries, Outcome};
use rowhouse_proto::wire::state::{Entry, Event, Usage};
use rowhouse_raft::Error;

use super::commands::{Proposal, ShardCommand};
use super::disable_user::account;
use super::error::ApplyError;
use super::tree::{self, TREE_INLINE_BYTES_MAX, Tree};
use super::turn::Turn;
use super::{modified, object, outcome, quota};
use crate::state::collections::{Found, find};
use crate::state::{Read, records, tables};

/// A move that may happen.
struct Accepted {
    user: UserKey,
    tree: Tree,
    /// The file at the destination that it replaces.
    previous: Option<Entry>,
}

fn accept(read: &dyn Read, command: &MoveEntries) -> Result<Accepted, ApplyError> {
    let (user, _) = account(read, &command.user)?;
    let (from, to) = (tree::writable(&command.from)?, tree::writable(&command.to)?);
    let tree = match (find(read, &user, &from)?, from.is_directory()) {
        (Found::File(entry), false) => {
            Tree { files: vec![(from.as_str().to_owned(), entry)], collections: Vec::new() }
        }
        (Found::Collection, true) if to.is_directory() => Tree::below(read, &user, from.as_str())?,
        _ => return Err(ErrorCode::NotFound.into()),
    };
    let (source, destination) = (from.as_str().trim_end_matches('/'), to.as_str().trim_end_matches('/'));
    let is_within =
        destination.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_within {
        return Err(ErrorCode::MoveIntoItself.into());
    }
    let previous = match find(read, &user, &to)? {
        Found::Nothing => None,
        _ if !command.overwrite => return Err(ErrorCode::DestinationExists.into()),
        Found::File(previous) if from.is_file() => Some(previous),
        // Nothing takes the place of a whole collection, and a collection that of nothing.
        Found::File(_) | Found::Collection => return Err(ErrorCode::PathCollision.into()),
    };
    for ancestor in ancestors(&to) {
        if ancestor != destination && records::entry(read, &user, ancestor)?.is_some() {
            return Err(ErrorCode::PathCollision.into());
        }
    }
    if tree.inline_bytes() > TREE_INLINE_BYTES_MAX {
        return Err(ErrorCode::CollectionTooLarge.into());
    }
    // A longer path may be too long for what lies below.
    for path in tree.files.iter().map(|(path, _)| path).chain(&tree.collections) {
        tree::writable(&moved(path, &from, &to))?;
    }
    Ok(Accepted { user, tree, previous })
}

/// The new path of what lies at or below `from`.
fn moved(path: &str, from: &StoragePath, to: &StoragePath) -> String {
    format!("{to}{}", path.strip_prefix(from.as_str()).unwrap_or(path))
}

impl ShardCommand for MoveEntries {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let Accepted { user, tree, previous } = accept(&*turn.txn, self)?;
        let (from, to) = (tree::writable(&self.from)?, tree::writable(&self.to)?);
        turn.check_event_room(2 * tree.files.len())?;

        let before = records::usage(&*turn.txn, &user)?;
        let mut after = quota::after_delete(&before, previous.as_ref());
        for (path, entry) in tree.files {
            after.removed_ms = after.removed_ms.max(entry.modified_ms);
            let steps = Step { user: &user, path: &path, to: &moved(&path, &from, &to), entry: &entry };
            steps.take(turn, previous.as_ref(), &before, &self.user)?;
        }
        for directory in &tree.collections {
            turn.txn.delete(tables::collection(&user, directory));
            turn.txn.put(tables::collection(&user, &moved(directory, &from, &to)), records::wrap_raw(&[]));
        }
        turn.store_usage(&user, &before, &after);
        Ok(outcome::done())
    }
}

/// One file on its way.
struct Step<'a> {
    user: &'a UserKey,
    path: &'a str,
    to: &'a str,
    entry: &'a Entry,
}

impl Step<'_> {
    fn take(
        &self,
        turn: &mut Turn<'_, '_>,
        previous: Option<&Entry>,
        usage: &Usage,
        user_bytes: &Bytes,
    ) -> Result<(), ApplyError> {
        let Self { user, path, to, entry } = *self;
        if let Some(previous) = previous {
            object::discard_body(turn, user, to, previous)?;
        }
        if entry.object.is_empty() {
            let body = records::body(&*turn.txn, user, path)?
                .ok_or_else(|| Error::corrupt("entry", "its body is missing"))?;
            turn.txn.delete(tables::body(user, path));
            turn.txn.put(tables::body(user, to), records::wrap_raw(&body));
        }
        turn.txn.delete(tables::entry(user, path));
        let modified_ms = modified::time(turn.now_ms(), &entry.hash, previous, usage);
        let at_its_place = Entry { modified_ms, ..entry.clone() };
        turn.txn.put(tables::entry(user, to), records::encode(&at_its_place));
        for (path, hash) in [(path, Bytes::new()), (to, entry.hash.clone())] {
            let slot = turn.event_slot()?;
            turn.emit(slot, user, &Event { user: user_bytes.clone(), path: path.to_owned(), hash });
        }
        Ok(())
    }
}
