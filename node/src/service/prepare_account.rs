//! Turns an operator's or owner's operation on an account into its command.

use rowhouse_proto::Refusal;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{self, command::Body, revoke_grant};
use rowhouse_proto::wire::shard;

use super::answer::Answer;
use super::prepared::{Prepared, credential};

/// What became of a reservation whose signup did not end.
pub(super) fn settle_signup(op: shard::SettleSignup) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::SettleSignup { user: op.tenant, token: op.token, number: op.number };
    Ok(Prepared::new(Body::SettleSignup(command), Answer::SignupSettled, Some(user)))
}

pub(super) fn disable_user(op: shard::DisableUser) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::DisableUser { user: op.tenant, disabled: op.disabled };
    Ok(Prepared::new(Body::DisableUser(command), Answer::Done, Some(user)))
}

pub(super) fn change_quota(op: shard::ChangeQuota) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::ChangeQuota { user: op.tenant, patch: op.patch };
    Ok(Prepared::new(Body::ChangeQuota(command), Answer::Done, Some(user)))
}

/// A bearer names its own user, so that the tenant's shard need not be this one.
pub(super) fn revoke_grant(op: shard::RevokeGrantById) -> Prepared {
    let by = revoke_grant::ById { credential: op.credential.and_then(credential), grant_id: op.grant_id };
    let command = command::RevokeGrant { user: op.tenant, by: Some(revoke_grant::By::ById(by)) };
    Prepared::new(Body::RevokeGrant(command), Answer::Done, None)
}
