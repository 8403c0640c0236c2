//! Logout: a grant is revoked for ever, and its bearer is gone with it.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{Outcome, RevokeGrant, revoke_grant};

use super::guard::{self, Guard};
use super::stop::Stop;
use super::turn::Turn;
use super::{grants, outcome};
use crate::state::records;
use crate::state::session::live_bearer;

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &RevokeGrant) -> Result<Outcome, Stop> {
    match &command.by {
        Some(revoke_grant::By::BearerHash(hash)) => {
            if let Some(live) = live_bearer(&*turn.txn, hash, turn.now_s())? {
                grants::revoke(turn, &live.user, &live.bearer.grant_id, live.grant)?;
            }
            Ok(outcome::done())
        }
        Some(revoke_grant::By::Proof(proof)) => by_proof(turn, &command.user, proof),
        None => Err(ErrorCode::Internal.into()),
    }
}

/// The grant's own expiry is not asked, and repeating with a fresh proof succeeds.
fn by_proof(turn: &mut Turn<'_, '_>, user: &[u8], proof: &revoke_grant::ByProof) -> Result<Outcome, Stop> {
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
