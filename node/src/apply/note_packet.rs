//! A user's packet was seen on the network (docs/rules/network.md#users-packets). It is believed by its signature alone:
//! whoever proposed it may be wrong about where it points, and about what is newer.

use pkarr::SignedPacket;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::command::{NotePacket, Outcome};
use rowhouse_proto::wire::state::{UserPacket, user_packet::Left};

use super::commands::{Proposal, ShardCommand};
use super::error::ApplyError;
use super::outcome;
use super::turn::Turn;
use crate::state::{Read, packet, records, tables};

/// The user, who has an account, and the packet that the user signed.
fn accept(read: &dyn Read, command: &NotePacket) -> Result<(UserKey, SignedPacket), ApplyError> {
    let user = user::parse(&command.user)?;
    if records::user(read, &user)?.is_none() {
        return Err(ErrorCode::NotFound.into());
    }
    let signed = packet::parse(&user, &command.packet).ok_or(ErrorCode::Internal)?;
    Ok((user, signed))
}

impl ShardCommand for NotePacket {
    fn check(&self, proposal: &Proposal<'_>) -> Result<(), ApplyError> {
        accept(proposal.read, self).map(drop)
    }

    fn apply(&self, turn: &mut Turn<'_, '_>) -> Result<Outcome, ApplyError> {
        let (user, signed) = accept(&*turn.txn, self)?;
        let before = records::user_packet(&*turn.txn, &user)?;
        let newest_us = signed.timestamp().as_u64();
        if newest_us <= before.newest_us {
            return Ok(outcome::done());
        }
        let homeserver = packet::homeserver_of(&signed);
        let after = if homeserver == Some(turn.homeserver()) {
            UserPacket { packet: self.packet.clone(), newest_us, left: None }
        } else {
            let homeserver = homeserver.map(|key| key.to_vec().into()).unwrap_or_default();
            let left = Some(Left { at_ms: turn.now_ms(), homeserver });
            UserPacket { packet: bytes::Bytes::new(), newest_us, left }
        };
        count(&mut turn.shard.kept_packets, &before, &after, |row| !row.packet.is_empty());
        count(&mut turn.shard.left_users, &before, &after, |row| row.left.is_some());
        match (&before.left, &after.left) {
            (None, Some(_)) => turn.txn.put(tables::user_left(&user), records::wrap_raw(&[])),
            (Some(_), None) => turn.txn.delete(tables::user_left(&user)),
            _ => {}
        }
        turn.txn.put(tables::user_packet(&user), records::encode(&after));
        Ok(outcome::done())
    }

    fn is_upkeep(&self) -> bool {
        true
    }
}

/// Counts the rows that are something.
fn count(rows: &mut u64, before: &UserPacket, after: &UserPacket, is: fn(&UserPacket) -> bool) {
    match (is(before), is(after)) {
        (false, true) => *rows += 1,
        (true, false) => *rows = rows.saturating_sub(1),
        _ => {}
    }
}
