//! Exchange of a grant and a proof for a bearer; checks 4, 5, 10 and 11–14 of
//! docs/rules/protocol.md#grants-and-proofs, the others need no state. A grant has exactly one live bearer, the
//! newest: every bearer has the same slot.

use bytes::Bytes;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{self, MintBearer, MintedBearer, Outcome, PopNonce, outcome::Value};
use rowhouse_proto::wire::state::{Bearer, Grant};

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::{Turn, table};
use super::{authorize, grants, outcome};
use crate::state::aged::{BEARERS, Row};
use crate::state::session::BEARER_LIFETIME_S;
use crate::state::{Read, records, tables};

fn parts(command: &MintBearer) -> Result<(UserKey, &command::Grant, &PopNonce), ApplyError> {
    match (&command.grant, &command.nonce) {
        (Some(grant), Some(nonce)) => {
            authorize::check_secret_hash(&command.bearer_hash)?;
            Ok((user::parse(&command.user)?, grant, nonce))
        }
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// Checks 4 and 5: refusals that leave the nonce unspent.
fn check_before_nonce(
    read: &dyn Read,
    user: &UserKey,
    grant: &command::Grant,
    now_s: u64,
) -> Result<(), ApplyError> {
    if grant.expires_at <= now_s {
        return Err(ErrorCode::GrantExpiredPresented.into());
    }
    match records::grant(read, user, &grant.id)? {
        Some(stored) if stored.revoked_at.is_some() => Err(ErrorCode::GrantRevoked.into()),
        None if grants::revoked_long_ago(read, user, grant.issued_at)? => Err(ErrorCode::GrantRevoked.into()),
        _ => Ok(()),
    }
}

impl ShardCommand for MintBearer {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let (user, presented, nonce) = parts(self)?;
        check_before_nonce(proposal.read, &user, presented, proposal.now_s())?;
        guard::check(proposal.read, &proposal.shard, Guard::Nonce(nonce), &user)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, presented, nonce) = parts(self)?;
        let now_s = turn.now_s();
        check_before_nonce(&*turn.txn, &user, presented, now_s)?;
        if BEARERS.is_full(table(&mut turn.shard.bearers)) {
            return Err(ErrorCode::GuardTableFull.into());
        }
        if records::bearer(&*turn.txn, &self.bearer_hash)?.is_some() {
            // Another request drew the same 30 random bytes: a broken gateway.
            return Err(ErrorCode::Internal.into());
        }
        guard::consume(turn, Guard::Nonce(nonce), &user)?;
        if records::user(&*turn.txn, &user)?.is_none() {
            return Err(ErrorCode::NotFound.into());
        }
        let mut grant = stored_or_new(turn, &user, presented)?;
        if grant.expires_at <= now_s {
            return Err(ErrorCode::GrantExpired.into());
        }
        grants::replace_bearer(turn, &mut grant, Bytes::new(), &self.bearer_hash)?;
        let expires_at = presented.expires_at.min(now_s.saturating_add(BEARER_LIFETIME_S));
        let left_ms = expires_at.saturating_mul(1000).saturating_sub(turn.now_ms());
        let dies_at_ms = turn.age_ms().saturating_add(left_ms);
        let bearer =
            Bearer { user: self.user.clone(), grant_id: presented.id.clone(), expires_at, dies_at_ms };
        let row = Row { id: &self.bearer_hash, dies_at_ms, mark: Bytes::new() };
        BEARERS.insert(turn.txn, table(&mut turn.shard.bearers), row, records::encode(&bearer));
        turn.txn.put(tables::grant(&user, &presented.id), records::encode(&grant));
        Ok(outcome::with(Value::Minted(MintedBearer {
            token_expires_at: expires_at,
            grant_expires_at: grant.expires_at,
            created_at: now_s,
            grant_id: presented.id.clone(),
        })))
    }
}

/// The first presentation of a grant id decides what it is; a later one must come from the same client.
fn stored_or_new(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    presented: &command::Grant,
) -> Result<Grant, ApplyError> {
    match records::grant(&*turn.txn, user, &presented.id)? {
        Some(stored) if stored.client_key != presented.client_key => Err(ErrorCode::GrantNotOwned.into()),
        Some(stored) => Ok(stored),
        None => {
            let grant = Grant {
                client_id: presented.client_id.clone(),
                capabilities: presented.capabilities.clone(),
                client_key: presented.client_key.clone(),
                issued_at: presented.issued_at,
                expires_at: presented.expires_at,
                created_at: turn.now_s(),
                ..Grant::default()
            };
            Ok(grants::number(turn, user, &presented.id, grant)?)
        }
    }
}
