//! Changes what one user may use, beside the cluster's defaults. Fields that the patch does not name stay.

use rowhouse_proto::domain::quota;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{ChangeQuota, Outcome};
use rowhouse_proto::wire::state::User;
use rowhouse_proto::{ErrorCode, Refusal};

use super::commands::{Proposal, ShardCommand};
use super::disable_user::account;
use super::error::ApplyError;
use super::outcome;
use super::turn::Turn;
use crate::state::{Read, records, tables};

fn accept(read: &dyn Read, command: &ChangeQuota) -> Result<(UserKey, User), ApplyError> {
    let (user, account) = account(read, &command.user)?;
    let before = account.quota.clone().unwrap_or_default();
    let patch = command.patch.clone().unwrap_or_default();
    let merged = quota::merge(&before, &patch).map_err(|why| Refusal::new(ErrorCode::InvalidQuota, why))?;
    let quota = (merged != Default::default()).then_some(merged);
    Ok((user, User { quota, ..account }))
}

impl ShardCommand for ChangeQuota {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, account) = accept(&*turn.txn, self)?;
        turn.txn.put(tables::user(&user), records::encode(&account));
        Ok(outcome::done())
    }
}
