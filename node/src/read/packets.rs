//! Users' packets for operators: of one user, and of those who left.

use std::ops::ControlFlow;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::shard::{GetPacket, LeftPage, LeftUser, ListLeft, UserPacket};
use rowhouse_proto::wire::state;
use rowhouse_raft::state::{ScanOrder, View};

use crate::apply::ApplyError;
use crate::state::{records, tables};

/// Most users of one page.
pub const LEFT_PAGE_MAX: u32 = 1000;

/// What is known of one user's packet. `NotFound` without an account.
pub fn get_packet(view: &View<'_>, query: &GetPacket) -> Result<UserPacket, ApplyError> {
    let user = user::parse(&query.tenant)?;
    if records::user(view, &user)?.is_none() {
        return Err(ErrorCode::NotFound.into());
    }
    let row = records::user_packet(view, &user)?;
    let left = left(&user, &row);
    Ok(UserPacket { packet: row.packet, newest_us: row.newest_us, left })
}

/// A page of those who left.
pub fn list_left(view: &View<'_>, query: &ListLeft) -> Result<LeftPage, ApplyError> {
    let from = match query.after.is_empty() {
        true => vec![tables::USER_LEFT],
        // The least key above it.
        false => [&tables::user_left(&user::parse(&query.after)?)[..], &[0]].concat(),
    };
    let (limit, mut keys) = (query.limit.min(LEFT_PAGE_MAX) as usize, Vec::new());
    if limit == 0 {
        return Ok(LeftPage::default());
    }
    view.scan(&from, &[tables::USER_LEFT + 1], ScanOrder::Ascending, &mut |row: &[u8], _: &[u8]| {
        keys.extend(UserKey::try_from(&row[1..]));
        if keys.len() < limit { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    let mut users = Vec::with_capacity(keys.len());
    for user in keys {
        users.extend(left(&user, &records::user_packet(view, &user)?));
    }
    Ok(LeftPage { users })
}

fn left(user: &UserKey, row: &state::UserPacket) -> Option<LeftUser> {
    row.left.as_ref().map(|left| LeftUser {
        user: user.to_vec().into(),
        at_ms: left.at_ms,
        homeserver: left.homeserver.clone(),
        signed_us: row.newest_us,
    })
}
