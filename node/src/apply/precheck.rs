//! Before a proposal: what the leader can answer without the log.
//!
//! The leader asks this on a consistent snapshot behind a read barrier. Refused and needless requests never reach
//! the log. A request whose refusal spends a token or nonce does: only the log may spend it.

use rowhouse_proto::wire::command::{Command, Outcome, command::Body};
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

use super::commands::{self, Proposal};
use super::dedup;
use super::error::ApplyError;
use crate::state::{Read, log_time, records};

/// The leader's judgement of a command that was not proposed yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precheck {
    /// The command was applied before: this is the answer.
    Known(Outcome),
    /// The log would refuse it without changing anything.
    Refused(Refusal),
    /// The log decides.
    Propose,
}

/// Judges a command as apply would.
///
/// `read` must be one snapshot: a retry must either find its outcome or see the state from before its first attempt.
/// `content_length` is the header of a PUT, if it had one; `now_ms` is the leader's physical clock in unix
/// milliseconds. An error means that state cannot be read.
pub fn precheck(
    read: &dyn Read,
    command: &Command,
    content_length: Option<u64>,
    now_ms: u64,
) -> Result<Precheck, Error> {
    if let Some(outcome) = dedup::known_outcome(read, &command.request_id)? {
        return Ok(Precheck::Known(outcome));
    }
    match judge(read, command, content_length, now_ms) {
        Ok(()) => Ok(Precheck::Propose),
        Err(ApplyError::Refused(refusal)) => Ok(Precheck::Refused(refusal)),
        Err(ApplyError::Failed(error)) => Err(error),
    }
}

fn judge(
    read: &dyn Read,
    command: &Command,
    content_length: Option<u64>,
    now_ms: u64,
) -> Result<(), ApplyError> {
    let mut shard = records::shard(read)?;
    log_time::advance(&mut shard, now_ms);
    if dedup::is_expired(&shard, command.issued_at_us) {
        return Err(ErrorCode::RequestExpired.into());
    }
    let body = command.body.as_ref().ok_or(ErrorCode::WrongVersion)?;
    commands::of(body).check(&Proposal { read, shard, content_length })
}

/// Whether a command would succeed and change nothing, so that it needs no log entry.
///
/// `read` must be one snapshot behind a read barrier; `now_ms` is the leader's physical clock in unix milliseconds.
pub fn changes_nothing(read: &dyn Read, body: &Body, now_ms: u64) -> Result<bool, ApplyError> {
    commands::of(body).changes_nothing(read, now_ms)
}
