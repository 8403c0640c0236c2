//! LOCK with the token of a lock that is held: it gets another time to live. A write that takes long asks for it too, so
//! that its lock outlives it.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{Outcome, RefreshLock, RefreshedLock, outcome::Value};
use rowhouse_proto::wire::state::Shard;

use super::authorize;
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::lock::{self, Held};
use super::outcome;
use super::turn::Turn;
use crate::state::Read;

fn accept(read: &dyn Read, shard: &Shard, command: &RefreshLock) -> Result<(UserKey, Held), ApplyError> {
    let RefreshLock { credential, user, path, held, .. } = command;
    let granted = authorize::write(read, credential.as_ref(), user, path, shard.now_ms / 1000)?;
    if granted.account.disabled {
        return Err(ErrorCode::UserDisabled.into());
    }
    let presented = held.clone().unwrap_or_default();
    let held = lock::check(read, shard, &granted.user, path, Some(&presented))?;
    Ok((granted.user, held.ok_or(ErrorCode::LockTokenMismatch)?))
}

impl ShardCommand for RefreshLock {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, &proposal.shard, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, held) = accept(&*turn.txn, &turn.shard, self)?;
        let token = self.held.as_ref().map_or(0, |presented| lock::place(&held, presented));
        if self.extend {
            lock::extend(turn, &user, &self.path, held, self.timeout_s)?;
        } else {
            lock::renew(turn, &user, &self.path, held, self.timeout_s)?;
        }
        Ok(outcome::with(Value::Refreshed(RefreshedLock { token })))
    }
}
