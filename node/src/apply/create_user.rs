//! Signup, by AuthToken (with a cookie session) or by grant (without one). The gateway has checked the signup token's
//! format and brings the meta group's word on it (docs/rules/consensus.md#a-signup-token-is-spent-once).

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::account::{SignupAdmission, signup_admission::Verdict};
use rowhouse_proto::wire::command::{CreateUser, Outcome, create_user};
use rowhouse_proto::wire::state::User;

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::guard::{self, Guard};
use super::turn::Turn;
use super::{authorize, open_cookie_session, outcome, user_index};
use crate::state::{Read, records, tables};

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

/// The account that the meta group's word on this signup gives, judged after the guard is spent and the user is known
/// to be new. A reservation that was given up counts as a token that somebody else used.
fn admitted(
    read: &dyn Read,
    user: &UserKey,
    admission: Option<&SignupAdmission>,
) -> Result<User, ApplyError> {
    let Some(verdict) = admission.and_then(|admission| admission.verdict.as_ref()) else {
        return Ok(User::default());
    };
    match verdict {
        Verdict::Open(_) => Ok(User::default()),
        Verdict::Refused(code) => Err(ErrorCode::from_number(*code).unwrap_or(ErrorCode::Internal).into()),
        Verdict::Reserved(kept) if kept.number <= records::void_signup(read, user)? => {
            Err(ErrorCode::SignupTokenUsed.into())
        }
        Verdict::Reserved(kept) => {
            let quota = kept.quota.clone().filter(|quota| *quota != Default::default());
            Ok(User { quota, signup_token: kept.token.clone(), ..User::default() })
        }
    }
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
        let admitted = admitted(&*turn.txn, &user, self.admission.as_ref())?;
        let account = User { created_at_ms: turn.now_ms(), ..admitted };
        turn.txn.put(tables::user(&user), records::encode(&account));
        if records::void_signup(&*turn.txn, &user)? != 0 {
            turn.txn.delete(tables::void_signup(&user));
        }
        turn.shard.users += 1;
        user_index::add(turn.txn, &turn.shard, &user, &account);
        Ok(match &self.session {
            Some(session) => open_cookie_session::open(turn, &user, session)?,
            None => outcome::done(),
        })
    }
}
