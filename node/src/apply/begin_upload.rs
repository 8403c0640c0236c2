//! A PUT with a body too large for the log begins: judged as far as it can be without the body, and its
//! object made known, so that every chunk on a disk is some row's or garbage.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::command::{BeginUpload, Outcome};
use rowhouse_proto::wire::state::Shard;

use super::authorize::{self, Granted};
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

pub(super) fn check(read: &dyn Read, shard: &Shard, command: &BeginUpload, now_s: u64) -> Result<(), Stop> {
    let length = command.content_length.map_or(Length::Unknown, Length::Declared);
    put_entry::check(read, command.into(), length, now_s)?;
    if !command.renew && shard.uploads >= UPLOADS_MAX {
        return Err(ErrorCode::GuardTableFull.into());
    }
    Ok(())
}

/// Only who writes is judged again: what becomes of the path and the quota meanwhile is the PUT's business,
/// and judging it on every replica costs as much as all the rest.
pub(super) fn apply(turn: &mut Turn<'_, '_>, command: &BeginUpload) -> Result<Outcome, Stop> {
    let now_s = turn.now_s();
    let Target { credential, user, path } = command.into();
    let Granted { user, .. } = authorize::write(&*turn.txn, credential, user, path, now_s)?;
    let id = parse_id(&command.object).ok_or(ErrorCode::Internal)?;
    let until_ms = turn.age_ms().saturating_add(command.lifetime_ms.min(LIFETIME_MS_MAX));
    if command.renew {
        object::renew(turn, id, &user, until_ms)?;
    } else {
        object::stage(turn, id, &user, until_ms)?;
    }
    Ok(outcome::done())
}
