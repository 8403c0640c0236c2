//! Sign-in by AuthToken. Disabled users may sign in; sessions never expire.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{
    AuthTokenId, CookieSessionSpec, OpenCookieSession, OpenedCookie, Outcome, outcome::Value,
};
use rowhouse_proto::wire::state::CookieSession;
use rowhouse_raft::Error;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::Turn;
use super::{authorize, cookies, outcome};
use crate::state::records;

fn parts(command: &OpenCookieSession) -> Result<(UserKey, &AuthTokenId, &CookieSessionSpec), ApplyError> {
    match (&command.auth_token, &command.session) {
        (Some(token), Some(session)) => {
            authorize::check_secret_hash(&session.secret_hash)?;
            Ok((user::parse(&command.user)?, token, session))
        }
        _ => Err(ErrorCode::Internal.into()),
    }
}

impl ShardCommand for OpenCookieSession {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let (user, token, _) = parts(self)?;
        guard::check(proposal.read, &proposal.shard, Guard::AuthToken(token), &user)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, token, session) = parts(self)?;
        guard::consume(turn, Guard::AuthToken(token), &user)?;
        if records::user(&*turn.txn, &user)?.is_none() {
            return Err(ErrorCode::NotFound.into());
        }
        Ok(open(turn, &user, session)?)
    }
}

/// Stores the session of a user who exists.
pub(super) fn open(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    session: &CookieSessionSpec,
) -> Result<Outcome, Error> {
    let created_at_us = turn.now_ms().saturating_mul(1000);
    let row = CookieSession {
        capabilities: session.capabilities.clone(),
        created_at_us,
        ..CookieSession::default()
    };
    cookies::add(turn, user, &session.secret_hash, row)?;
    Ok(outcome::with(Value::Opened(OpenedCookie { created_at_us })))
}
