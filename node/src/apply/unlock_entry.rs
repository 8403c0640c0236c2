//! UNLOCK of a path. Disabled users may unlock, and an expired lock can still be given up.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Outcome, UnlockEntry};

use super::authorize;
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{lock, outcome};
use crate::state::Read;

fn author(read: &dyn Read, command: &UnlockEntry, now_s: u64) -> Result<UserKey, ApplyError> {
    let UnlockEntry { credential, user, path, .. } = command;
    Ok(authorize::write(read, credential.as_ref(), user, path, now_s)?.user)
}

fn check_known(read: &dyn Read, command: &UnlockEntry, user: &UserKey) -> Result<(), ApplyError> {
    if lock::is_known(read, user, &command.path, &command.token)? {
        Ok(())
    } else {
        Err(ErrorCode::NoSuchLock.into())
    }
}

impl ShardCommand for UnlockEntry {
    /// Without a token only the author is judged: the request has a flaw of another kind.
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let user = author(proposal.read, self, proposal.now_s())?;
        if self.token.is_empty() { Ok(()) } else { check_known(proposal.read, self, &user) }
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let user = author(&*turn.txn, self, turn.now_s())?;
        check_known(&*turn.txn, self, &user)?;
        lock::release(turn, &user, &self.path)?;
        Ok(outcome::done())
    }
}
