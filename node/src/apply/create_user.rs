//! Signup, by AuthToken (with a cookie session) or by grant (without one). The gateway has checked the
//! signup token's format; in open mode it is otherwise ignored and not consumed (docs/rules/protocol.md#signup).

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{CreateUser, Outcome, create_user};
use rowhouse_proto::wire::state::User;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::Turn;
use super::{authorize, open_cookie_session, outcome};
use crate::state::{records, tables};

fn user_and_guard(command: &CreateUser) -> Result<(UserKey, Guard<'_>), ApplyError> {
    let guard = match &command.guard {
        Some(create_user::Guard::AuthToken(token)) => Guard::AuthToken(token),
        Some(create_user::Guard::PopNonce(nonce)) => Guard::Nonce(nonce),
        None => return Err(ErrorCode::Internal.into()),
    };
    if let Some(session) = &command.session {
        authorize::check_secret_hash(&session.secret_hash)?;
    }
    let user = user::parse(&command.user)?;
    // Every account is a key: what is stored elsewhere by user need not ask again.
    pkarr::PublicKey::try_from(&user).map_err(|_| ErrorCode::InvalidStorageOwner)?;
    Ok((user, guard))
}

impl ShardCommand for CreateUser {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let (user, guard) = user_and_guard(self)?;
        guard::check(proposal.read, &proposal.shard, guard, &user)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, guard) = user_and_guard(self)?;
        guard::consume(turn, guard, &user)?;
        if records::user(&*turn.txn, &user)?.is_some() {
            return Err(ErrorCode::UserExists.into());
        }
        let account = User { created_at_ms: turn.now_ms(), ..User::default() };
        turn.txn.put(tables::user(&user), records::encode(&account));
        turn.shard.users += 1;
        Ok(match &self.session {
            Some(session) => open_cookie_session::open(turn, &user, session)?,
            None => outcome::done(),
        })
    }
}
