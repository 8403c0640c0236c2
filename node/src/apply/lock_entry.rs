//! LOCK of a path, whether or not there is a file. Nothing is created, and no event is told.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{LockEntry, Outcome};
use rowhouse_proto::wire::state::Shard;

use super::authorize;
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{lock, outcome};
use crate::state::Read;

/// Whose path it is. A disabled user takes no lock, as no file can be put.
fn author(read: &dyn Read, shard: &Shard, command: &LockEntry) -> Result<UserKey, ApplyError> {
    let LockEntry { credential, user, path, .. } = command;
    let granted = authorize::write(read, credential.as_ref(), user, path, shard.now_ms / 1000)?;
    if granted.account.disabled { Err(ErrorCode::UserDisabled.into()) } else { Ok(granted.user) }
}

impl ShardCommand for LockEntry {
    /// Without a token only the author is judged: the request has a flaw of another kind.
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let user = author(proposal.read, &proposal.shard, self)?;
        if self.token.is_empty() {
            return Ok(());
        }
        lock::check_free(proposal.read, &proposal.shard, &user, &self.path)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let user = author(&*turn.txn, &turn.shard, self)?;
        lock::check_free(&*turn.txn, &turn.shard, &user, &self.path)?;
        lock::take(turn, &user, &self.path, &self.token, self.timeout_s)?;
        Ok(outcome::done())
    }
}
