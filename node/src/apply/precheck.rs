//! Before a proposal: what the log need not decide.
//!
//! The leader asks this on a consistent snapshot behind a read barrier. A request that consumes a token or
//! nonce even when it is refused goes to the log unless the refusal comes before the consumption.

use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{Command, Outcome, command::Body, revoke_grant};
use rowhouse_proto::wire::state::Shard;
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

use super::guard::{self, Guard};
use super::put_entry::Length;
use super::stop::Stop;
use super::{begin_upload, create_user, dedup, delete_entry, mint_bearer, open_cookie_session, put_entry};
use crate::state::{Read, log_time, records};

/// What to do with a command that was not proposed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precheck {
    /// It was applied before: this is the answer.
    Known(Outcome),
    /// The log would refuse it without changing anything.
    Refused(Refusal),
    Propose,
}

/// Judges a command as apply would. `read` must be one snapshot: a retry must either find its outcome or
/// see the state from before its first attempt. `content_length` is the header of a PUT, if it had one;
/// `now_ms` the leader's physical clock.
pub fn precheck(
    read: &dyn Read,
    command: &Command,
    content_length: Option<u64>,
    now_ms: u64,
) -> Result<Precheck, Error> {
    if let Some(outcome) = dedup::known_outcome(read, &command.request_id)? {
        return Ok(Precheck::Known(outcome));
    }
    match decide(read, command, content_length, now_ms) {
        Ok(()) => Ok(Precheck::Propose),
        Err(Stop::Refused(refusal)) => Ok(Precheck::Refused(refusal)),
        Err(Stop::Failed(error)) => Err(error),
    }
}

fn decide(read: &dyn Read, command: &Command, content_length: Option<u64>, now_ms: u64) -> Result<(), Stop> {
    let mut shard = records::shard(read)?;
    log_time::advance(&mut shard, now_ms);
    if dedup::is_expired(&shard, command.issued_at_us) {
        return Err(ErrorCode::RequestExpired.into());
    }
    let now_s = shard.now_ms / 1000;
    match &command.body {
        Some(Body::PutEntry(put)) => {
            let length = content_length.map_or(Length::Counted(put.body.len() as u64), Length::Declared);
            put_entry::check(read, put.into(), length, now_s)?;
        }
        Some(Body::BeginUpload(begin)) => begin_upload::check(read, &shard, begin, now_s)?,
        Some(Body::DeleteEntry(delete)) => {
            delete_entry::check(read, delete, now_s)?;
        }
        Some(Body::CreateUser(create)) => {
            let (user, guard) = create_user::user_and_guard(create)?;
            guard::check(read, &shard, guard, &user)?;
        }
        Some(Body::OpenCookieSession(open)) => {
            let (user, token, _) = open_cookie_session::parts(open)?;
            guard::check(read, &shard, Guard::AuthToken(token), &user)?;
        }
        Some(Body::MintBearer(mint)) => {
            let (user, grant, nonce) = mint_bearer::parts(mint)?;
            mint_bearer::check_before_nonce(read, &user, grant, now_s)?;
            guard::check(read, &shard, Guard::Nonce(nonce), &user)?;
        }
        Some(Body::RevokeGrant(revoke)) => check_revoke(read, &shard, revoke)?,
        Some(Body::CloseCookieSession(_) | Body::Close(_) | Body::CollectObjects(_)) => {}
        None => return Err(ErrorCode::WrongVersion.into()),
    }
    Ok(())
}

fn check_revoke(
    read: &dyn Read,
    shard: &Shard,
    revoke: &rowhouse_proto::wire::command::RevokeGrant,
) -> Result<(), Stop> {
    if let Some(revoke_grant::By::Proof(proof)) = &revoke.by {
        let user = user::parse(&revoke.user)?;
        let nonce = proof.nonce.as_ref().ok_or(ErrorCode::Internal)?;
        guard::check(read, shard, Guard::Nonce(nonce), &user)?;
    }
    Ok(())
}
