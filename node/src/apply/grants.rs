//! Rows of a user's grants, within bounds.
//!
//! A grant that is merely forgotten could be presented again. It is a signed text, and a server that does not know it
//! takes it for new. So a row goes only when the grant has expired, or when something else remembers that it was
//! revoked: - When a new grant finds no room, one that has expired is forgotten, else the oldest one is revoked. A live
//! grant
//!   is thus always in the list, never out of sight.
//! - When a revoked grant finds no room, the one that was issued first is forgotten. From then on every grant that was
//!   issued by that time and has no row counts as revoked. That refuses a good grant only if it is presented for the
//!   first time and is older than thousands of revoked ones.
//!
//! Grants issued in the future are forgotten last: their time would refuse every new grant until then.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Grant, GrantSession, UserSessions};
use rowhouse_raft::Error;

use super::turn::{Turn, table};
use crate::state::aged::BEARERS;
use crate::state::roster::GRANTS;
use crate::state::{Read, records, tables};

/// Most grants of a user that are not revoked: far above the programs of one person.
pub const GRANTS_MAX: u64 = 1024;
/// Most revoked grants of a user that are remembered one by one.
pub const REVOKED_GRANTS_MAX: u64 = 4096;

/// Above every grant id in a key: text has no such byte.
const AFTER_IDS: &[u8] = &[0xFF];

/// Whether a grant that has no row is one of those forgotten after their revocation, or older.
pub(super) fn revoked_long_ago(read: &dyn Read, user: &UserKey, issued_at: u64) -> Result<bool, Error> {
    let revoked_until = records::user_sessions(read, user)?.revoked_until;
    Ok(revoked_until.is_some_and(|until| issued_at <= until))
}

/// Gives a new grant its place; the caller stores it.
pub(super) fn number(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    id: &str,
    mut grant: Grant,
) -> Result<Grant, Error> {
    let mut sessions = records::user_sessions(&*turn.txn, user)?;
    if sessions.grants.get_or_insert_default().rows >= GRANTS_MAX {
        make_room(turn, user, &mut sessions)?;
    }
    grant.number = GRANTS.add(turn.txn, user, sessions.grants.get_or_insert_default(), id.as_bytes());
    sessions.grant_expiry_floor = sessions.grant_expiry_floor.min(grant.expires_at);
    turn.txn.put(tables::grant_expiry(user, grant.expires_at, id), Bytes::new());
    turn.txn.put(tables::user_sessions(user), records::encode(&sessions));
    Ok(grant)
}

/// Revokes `grant`, stored under `id`, and ends its bearers. Changes nothing if it is revoked already.
pub(super) fn revoke(turn: &mut Turn<'_, '_>, user: &UserKey, id: &str, grant: Grant) -> Result<(), Error> {
    if grant.revoked_at.is_some() {
        return Ok(());
    }
    let mut sessions = records::user_sessions(&*turn.txn, user)?;
    revoke_one(turn, user, &mut sessions, id, grant)?;
    turn.txn.put(tables::user_sessions(user), records::encode(&sessions));
    Ok(())
}

/// Puts a bearer into a slot of the grant and ends the one that was there. The caller stores the grant.
pub(super) fn replace_bearer(
    turn: &mut Turn<'_, '_>,
    grant: &mut Grant,
    slot: Bytes,
    hash: &Bytes,
) -> Result<(), Error> {
    match grant.sessions.binary_search_by(|session| session.slot.cmp(&slot)) {
        Ok(at) => {
            let ended = std::mem::replace(&mut grant.sessions[at].bearer_hash, hash.clone());
            end_bearer(turn, &ended)
        }
        Err(at) => {
            grant.sessions.insert(at, GrantSession { slot, bearer_hash: hash.clone() });
            Ok(())
        }
    }
}

fn make_room(turn: &mut Turn<'_, '_>, user: &UserKey, sessions: &mut UserSessions) -> Result<(), Error> {
    let now_s = turn.now_s();
    if let Some((_, id)) = first(&*turn.txn, tables::GRANT_EXPIRY, user, sessions.grant_expiry_floor, now_s)?
    {
        let mut grant = known(&*turn.txn, user, &id)?;
        sessions.grant_expiry_floor = grant.expires_at;
        end_bearers(turn, &mut grant)?;
        leave_roster(turn, user, sessions, &id, &grant);
        turn.txn.delete(tables::grant(user, &id));
        return Ok(());
    }
    sessions.grant_expiry_floor = now_s;
    let oldest = GRANTS.oldest(&*turn.txn, user, sessions.grants.get_or_insert_default())?;
    let Some(id) = oldest.map(text).transpose()? else { return Ok(()) };
    let grant = known(&*turn.txn, user, &id)?;
    revoke_one(turn, user, sessions, &id, grant)
}

/// Revokes a grant that is not revoked yet. The caller stores `sessions`.
fn revoke_one(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    sessions: &mut UserSessions,
    id: &str,
    mut grant: Grant,
) -> Result<(), Error> {
    end_bearers(turn, &mut grant)?;
    leave_roster(turn, user, sessions, id, &grant);
    if sessions.revoked_until.is_some_and(|until| grant.issued_at <= until) {
        // It counts as revoked without a row, and the index is not looked at below.
        turn.txn.delete(tables::grant(user, id));
        return Ok(());
    }
    grant.revoked_at = Some(turn.now_s());
    turn.txn.put(tables::grant(user, id), records::encode(&grant));
    turn.txn.put(tables::revoked_grant(user, grant.issued_at, id), Bytes::new());
    sessions.revoked_grants += 1;
    if sessions.revoked_grants <= REVOKED_GRANTS_MAX {
        return Ok(());
    }
    let from = sessions.revoked_until.unwrap_or_default();
    if let Some((issued_at, id)) = first(&*turn.txn, tables::REVOKED_GRANT, user, from, u64::MAX)? {
        turn.txn.delete(tables::revoked_grant(user, issued_at, &id));
        turn.txn.delete(tables::grant(user, &id));
        sessions.revoked_grants -= 1;
        sessions.revoked_until = Some(from.max(issued_at));
    }
    Ok(())
}

fn leave_roster(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    sessions: &mut UserSessions,
    id: &str,
    grant: &Grant,
) {
    GRANTS.remove(turn.txn, user, sessions.grants.get_or_insert_default(), grant.number);
    turn.txn.delete(tables::grant_expiry(user, grant.expires_at, id));
}

fn end_bearers(turn: &mut Turn<'_, '_>, grant: &mut Grant) -> Result<(), Error> {
    for session in std::mem::take(&mut grant.sessions) {
        end_bearer(turn, &session.bearer_hash)?;
    }
    Ok(())
}

/// Ends a bearer, which may have expired and been swept already.
fn end_bearer(turn: &mut Turn<'_, '_>, hash: &[u8]) -> Result<(), Error> {
    if let Some(bearer) = records::bearer(&*turn.txn, hash)? {
        BEARERS.remove(turn.txn, table(&mut turn.shard.bearers), hash, bearer.dies_at_ms);
    }
    Ok(())
}

/// The first row of an index by time, from one time to another inclusive.
fn first(
    read: &dyn Read,
    index: u8,
    user: &UserKey,
    from: u64,
    to: u64,
) -> Result<Option<(u64, String)>, Error> {
    let mut found = None;
    let start = tables::key(index, &[user, &from.to_be_bytes()]);
    let end = tables::key(index, &[user, &to.to_be_bytes(), AFTER_IDS]);
    read.scan(&start, &end, &mut |key, _| {
        found = key[1 + user.len()..]
            .split_first_chunk::<8>()
            .map(|(at, id)| (u64::from_be_bytes(*at), Bytes::copy_from_slice(id)));
        ControlFlow::Break(())
    })?;
    found.map(|(at, id)| Ok((at, text(id)?))).transpose()
}

fn text(id: Bytes) -> Result<String, Error> {
    String::from_utf8(id.into()).map_err(|error| Error::corrupt("grant id", error))
}

fn known(read: &dyn Read, user: &UserKey, id: &str) -> Result<Grant, Error> {
    records::grant(read, user, id)?.ok_or_else(|| Error::corrupt("grant", "an index knows one without a row"))
}
