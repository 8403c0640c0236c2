//! Disables a user, or enables one again. A disabled user keeps everything, may sign in, read and delete, and may not
//! put (docs/rules/protocol.md#signup).

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{DisableUser, Outcome};
use rowhouse_proto::wire::state::User;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::turn::Turn;
use super::{outcome, user_index};
use crate::state::{Read, records, tables};

/// The account of a command about one, which must exist.
pub(super) fn account(read: &dyn Read, key: &[u8]) -> Result<(UserKey, User), ApplyError> {
    let user = user::parse(key)?;
    let account = records::user(read, &user)?.ok_or(ErrorCode::NotFound)?;
    Ok((user, account))
}

impl ShardCommand for DisableUser {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        account(proposal.read, &self.user).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, mut account) = account(&*turn.txn, &self.user)?;
        if account.disabled != self.disabled {
            account.disabled = self.disabled;
            turn.txn.put(tables::user(&user), records::encode(&account));
            user_index::disable(turn.txn, &user, self.disabled);
            let count = &mut turn.shard.disabled_users;
            *count = if self.disabled { *count + 1 } else { count.saturating_sub(1) };
        }
        Ok(outcome::done())
    }
}
