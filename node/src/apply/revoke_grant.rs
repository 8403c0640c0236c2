//! Logout: a grant is revoked for ever, and its bearer is gone with it.

use pubky_common::auth::jws::GrantId;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::revoke_grant::{By, ById, ByProof};
use rowhouse_proto::wire::command::{Outcome, RevokeGrant};
use rowhouse_proto::wire::state::Grant;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::Turn;
use super::{grants, outcome};
use crate::state::session::{self, Presented, live_bearer};
use crate::state::{Read, log_time, records};

impl ShardCommand for RevokeGrant {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let proof = match &self.by {
            Some(By::Proof(proof)) => proof,
            Some(By::ById(by)) => return chosen(proposal.read, &self.user, by, proposal.now_s()).map(drop),
            _ => return Ok(()),
        };
        let user = user::parse(&self.user)?;
        let nonce = proof.nonce.as_ref().ok_or(ErrorCode::Internal)?;
        guard::check(proposal.read, &proposal.shard, Guard::Nonce(nonce), &user)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        match &self.by {
            Some(By::BearerHash(hash)) => {
                if let Some(live) = live_bearer(&*turn.txn, hash, turn.now_s())? {
                    grants::revoke(turn, &live.user, &live.bearer.grant_id, live.grant)?;
                }
                Ok(outcome::done())
            }
            Some(By::Proof(proof)) => by_proof(turn, &self.user, proof),
            Some(By::ById(by)) => {
                let (user, grant) = chosen(&*turn.txn, &self.user, by, turn.now_s())?;
                grants::revoke(turn, &user, &by.grant_id, grant)?;
                Ok(outcome::done())
            }
            None => Err(ErrorCode::Internal.into()),
        }
    }

    fn changes_nothing(&self, read: &dyn Read, now_ms: u64) -> Result<bool, ApplyError> {
        let Some(By::BearerHash(hash)) = &self.by else { return Ok(false) };
        let now_s = log_time::shard_now(records::shard(read)?.now_ms, now_ms) / 1000;
        Ok(live_bearer(read, hash, now_s)?.is_none())
    }
}

/// The grant of the session's user that has this id. The session comes first, and its root capability, so that nobody
/// else learns which grants there are.
fn chosen(read: &dyn Read, tenant: &[u8], by: &ById, now_s: u64) -> Result<(UserKey, Grant), ApplyError> {
    let tenant = if tenant.is_empty() { UserKey::default() } else { user::parse(tenant)? };
    let session = session::resolve(read, Presented::in_command(by.credential.as_ref()), &tenant, now_s)?
        .ok_or(ErrorCode::NoSession)?;
    if !session.is_root() {
        return Err(ErrorCode::RootRequired.into());
    }
    GrantId::parse(&by.grant_id).map_err(|_| ErrorCode::GrantIdFormat)?;
    let grant = records::grant(read, &session.user, &by.grant_id)?.ok_or(ErrorCode::NotFound)?;
    Ok((session.user, grant))
}

/// Revokes an expired grant too. Repeating it with a fresh proof succeeds.
fn by_proof(turn: &mut Turn<'_, '_>, user: &[u8], proof: &ByProof) -> Result<Outcome, ApplyError> {
    let user = user::parse(user)?;
    let (Some(presented), Some(nonce)) = (&proof.grant, &proof.nonce) else {
        return Err(ErrorCode::Internal.into());
    };
    guard::consume(turn, Guard::Nonce(nonce), &user)?;
    let stored = records::grant(&*turn.txn, &user, &presented.id)?.ok_or(ErrorCode::NotFound)?;
    if stored.client_key != presented.client_key {
        return Err(ErrorCode::GrantNotOwned.into());
    }
    grants::revoke(turn, &user, &presented.id, stored)?;
    Ok(outcome::done())
}
