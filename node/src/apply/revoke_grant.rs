//! Logout: a grant is revoked for ever, and its bearer is gone with it.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::revoke_grant::{By, ByProof};
use rowhouse_proto::wire::command::{Outcome, RevokeGrant};

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::Turn;
use super::{grants, outcome};
use crate::state::session::live_bearer;
use crate::state::{Read, log_time, records};

impl ShardCommand for RevokeGrant {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let Some(By::Proof(proof)) = &self.by else { return Ok(()) };
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
            None => Err(ErrorCode::Internal.into()),
        }
    }

    fn changes_nothing(&self, read: &dyn Read, now_ms: u64) -> Result<bool, ApplyError> {
        let Some(By::BearerHash(hash)) = &self.by else { return Ok(false) };
        let now_s = log_time::shard_now(records::shard(read)?.now_ms, now_ms) / 1000;
        Ok(live_bearer(read, hash, now_s)?.is_none())
    }
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
