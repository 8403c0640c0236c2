//! Makes a collection in which there is no file yet. Only operators see it, and it counts no bytes.

use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::parse_canonical;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{MakeCollection, Outcome};

use super::commands::{Proposal, ShardCommand};
use super::disable_user::account;
use super::error::ApplyError;
use super::turn::Turn;
use super::{outcome, tree};
use crate::state::collections::{Found, find, is_root};
use crate::state::{Read, records, tables};

fn accept(read: &dyn Read, command: &MakeCollection) -> Result<(UserKey, StoragePath), ApplyError> {
    let (user, _) = account(read, &command.user)?;
    if is_root(&command.path) {
        return Err(ErrorCode::PathExists.into());
    }
    let path = tree::writable_collection(&command.path)?;
    if !matches!(find(read, &user, &path)?, Found::Nothing) {
        return Err(ErrorCode::PathExists.into());
    }
    match find(read, &user, &parent(&path)?)? {
        Found::Collection => Ok((user, path)),
        Found::File(_) | Found::Nothing => Err(ErrorCode::NoParent.into()),
    }
}

/// The collection above one that is no root.
fn parent(path: &StoragePath) -> Result<StoragePath, ApplyError> {
    let trimmed = path.as_str().trim_end_matches('/');
    let end = trimmed.rfind('/').map_or(0, |at| at + 1);
    Ok(parse_canonical(&trimmed[..end])?)
}

impl ShardCommand for MakeCollection {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, path) = accept(&*turn.txn, self)?;
        turn.txn.put(tables::collection(&user, path.as_str()), records::wrap_raw(&[]));
        Ok(outcome::done())
    }
}
