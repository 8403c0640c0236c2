//! A PUT with a body too large for the log begins.
//!
//! It is judged as far as possible without its body. Its object becomes known to the log, so that every chunk on a
//! disk belongs to a row or is garbage.

use rowhouse_proto::wire::command::{BeginUpload, Outcome};
use rowhouse_proto::{ErrorCode, UPLOAD_WINDOW_BYTES};

use super::authorize::{self, Granted};
use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::object::{self, UPLOADS_MAX};
use super::put_entry::{self, Length, Target};
use super::turn::Turn;
use super::{lock, outcome, physical, quota};
use crate::state::objects::parse_id;

/// An upload that nobody continues for so long is over, whatever its proposer asked for.
const LIFETIME_MS_MAX: u64 = 24 * 60 * 60 * 1000;

impl<'a> From<&'a BeginUpload> for Target<'a> {
    fn from(begin: &'a BeginUpload) -> Self {
        Self {
            credential: begin.credential.as_ref(),
            user: &begin.user,
            path: &begin.path,
            default_quota_bytes: begin.default_quota_bytes,
            conditions: begin.conditions.as_ref(),
            began_unlocked: begin.renew,
        }
    }
}

impl ShardCommand for BeginUpload {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        let length = self.content_length.map_or(Length::Unknown, Length::Declared);
        let (user, quota_bytes) =
            put_entry::accept(proposal.read, &proposal.shard, self.into(), length)?.owner();
        if !self.renew && proposal.shard.uploads >= UPLOADS_MAX {
            return Err(ErrorCode::GuardTableFull.into());
        }
        let id = parse_id(&self.object).ok_or(ErrorCode::Internal)?;
        physical::check_upload(proposal.read, quota_bytes, &user, &id, reserved(self))
    }

    /// Judges again only who writes, the lock it writes under, and what it may add to the disks. Path and quota are
    /// judged by the PUT at the end; judging them here on every replica would cost as much as all the rest.
    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let now_s = turn.now_s();
        let Target { credential, user, path, default_quota_bytes, conditions, .. } = self.into();
        let Granted { user, account, .. } = authorize::write(&*turn.txn, credential, user, path, now_s)?;
        let held = match conditions.and_then(|conditions| conditions.held.as_ref()) {
            None => None,
            presented => lock::check(&*turn.txn, &turn.shard, &user, path, presented)?,
        };
        let quota_bytes = quota::storage_bytes(account.quota.as_ref(), default_quota_bytes);
        let id = parse_id(&self.object).ok_or(ErrorCode::Internal)?;
        let reserved = reserved(self);
        physical::check_upload(&*turn.txn, quota_bytes, &user, &id, reserved)?;
        let until_ms = turn.age_ms().saturating_add(self.lifetime_ms.min(LIFETIME_MS_MAX));
        if self.renew {
            object::renew(turn, id, &user, until_ms, reserved)?;
        } else {
            object::stage(turn, id, &user, until_ms, reserved)?;
        }
        lock::keep(turn, &user, &self.path, held)?;
        Ok(outcome::done())
    }
}

/// Bytes that the upload may send, which are counted for it. A renewed upload keeps what it has.
fn reserved(command: &BeginUpload) -> u64 {
    command.content_length.unwrap_or_else(|| command.reserved_bytes.max(UPLOAD_WINDOW_BYTES))
}
