//! A PUT with a body too large for the log begins: judged as far as it can be without the body, and its
//! object made known, so that every chunk on a disk is some row's or garbage.

use rowhouse_proto::wire::command::{BeginUpload, Outcome};
use rowhouse_proto::wire::state::Shard;
use rowhouse_proto::{ErrorCode, UPLOAD_WINDOW_BYTES};

use super::authorize::{self, Granted};
use super::object::{self, UPLOADS_MAX};
use super::outcome;
use super::physical;
use super::put_entry::{self, Length, Target};
use super::stop::Stop;
use super::turn::Turn;
use crate::state::Read;
use crate::state::objects::parse_id;

/// An upload that nobody continues for so long is over, whatever its proposer asked for.
const LIFETIME_MS_MAX: u64 = 24 * 60 * 60 * 1000;

impl<'a> From<&'a BeginUpload> for Target<'a> {
    fn from(begin: &'a BeginUpload) -> Self {
        Self { credential: begin.credential.as_ref(), user: &begin.user, path: &begin.path }
    }
}

pub(super) fn check(read: &dyn Read, shard: &Shard, command: &BeginUpload, now_s: u64) -> Result<(), Stop> {
    let length = command.content_length.map_or(Length::Unknown, Length::Declared);
    let (user, account) = put_entry::check(read, command.into(), length, now_s)?.owner();
    if !command.renew && shard.uploads >= UPLOADS_MAX {
        return Err(ErrorCode::GuardTableFull.into());
    }
    let id = parse_id(&command.object).ok_or(ErrorCode::Internal)?;
    physical::check_upload(read, &account, &user, &id, reserved(command))
}

/// What it may send: the bytes that are counted for it. One that is renewed keeps what it has.
fn reserved(command: &BeginUpload) -> u64 {
    command.content_length.unwrap_or_else(|| command.reserved_bytes.max(UPLOAD_WINDOW_BYTES))
}

/// Only who writes, and what it may add to the disks, is judged again: what becomes of the path and the quota
/// meanwhile is the PUT's business, and judging it on every replica costs as much as all the rest.
pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &BeginUpload) -> Result<Outcome, Stop> {
    let now_s = turn.now_s();
    let Target { credential, user, path } = command.into();
    let Granted { user, account, .. } = authorize::write(&*turn.txn, credential, user, path, now_s)?;
    let id = parse_id(&command.object).ok_or(ErrorCode::Internal)?;
    let reserved = reserved(command);
    physical::check_upload(&*turn.txn, &account, &user, &id, reserved)?;
    let until_ms = turn.age_ms().saturating_add(command.lifetime_ms.min(LIFETIME_MS_MAX));
    if command.renew {
        object::renew(turn, id, &user, until_ms, reserved)?;
    } else {
        object::stage(turn, id, &user, until_ms, reserved)?;
    }
    Ok(outcome::done())
}
