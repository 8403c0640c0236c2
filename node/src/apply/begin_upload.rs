//! A PUT with a body too large for the log begins: judged as far as it can be without the body, and its
//! object made known, so that every chunk on a disk is some row's or garbage.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{BeginUpload, Outcome};
use rowhouse_proto::wire::state::Shard;

use super::object::{self, UPLOADS_MAX};
use super::outcome;
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

pub(super) fn check(
    read: &dyn Read,
    shard: &Shard,
    command: &BeginUpload,
    now_s: u64,
) -> Result<UserKey, Stop> {
    let length = command.content_length.map_or(Length::Unknown, Length::Declared);
    let accepted = put_entry::check(read, command.into(), length, now_s)?;
    if !command.renew && shard.uploads >= UPLOADS_MAX {
        return Err(ErrorCode::GuardTableFull.into());
    }
    Ok(accepted.user)
}

pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &BeginUpload) -> Result<Outcome, Stop> {
    let user = check(&*turn.txn, &turn.shard, command, turn.now_s())?;
    let id = parse_id(&command.object).ok_or(ErrorCode::Internal)?;
    let until_ms = turn.now_ms().saturating_add(command.lifetime_ms.min(LIFETIME_MS_MAX));
    if command.renew {
        object::renew(turn, id, &user, until_ms)?;
    } else {
        object::stage(turn, id, &user, until_ms)?;
    }
    Ok(outcome::done())
}
