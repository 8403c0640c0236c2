//! Exclusive locks of paths (RFC 4918), by the shard's own time (docs/rules/protocol.md#locks).
//!
//! A lock is a row of its path. It lives from the second in which it was taken or last extended, until it expires. A
//! present before that second is a clock that was set back by a minute at least: the lock is over, because nobody can
//! tell how much of its time has passed. Its holder is refused then, and never sees another holder beside it.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::entry::LockTokens;
use rowhouse_proto::wire::state::{Lock, Shard};
use rowhouse_raft::Error;

use super::error::ApplyError;
use super::turn::{Turn, table};
use crate::planted;
use crate::state::aged::{LOCKS, Row};
use crate::state::{Read, records, tables};

/// Longest time to live, in seconds, whatever a gateway grants.
pub const LOCK_TIMEOUT_S_MAX: u32 = 3_600;
/// A write that presents its lock gives it at least so long to live.
const HELD_BY_WRITE_S: u32 = 30;
/// Most locks of one user whose rows were not swept yet. A shard has the bound of its table.
pub const LOCKS_OF_USER_MAX: usize = 256;
/// The row outlasts the lock by this much of the shard's age, which a leap of the clock may be ahead of.
const SWEEP_SLACK_MS: u64 = 60_000;
/// Length of a token.
const TOKEN_BYTES: usize = 16;

/// A lock that its token was presented for.
pub(super) struct Held(Lock);

/// Whether a write of this path may happen: `None` if nobody holds it and no token was presented. A token that was
/// presented must be the live one's, also of a path that is not locked.
pub(super) fn check(
    read: &dyn Read,
    shard: &Shard,
    user: &UserKey,
    path: &str,
    presented: Option<&LockTokens>,
) -> Result<Option<Held>, ApplyError> {
    let live = live(read, shard, user, path)?;
    match (presented, live) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(ErrorCode::Locked.into()),
        (Some(presented), live) => {
            let held = live.filter(|lock| presented.tokens.contains(&lock.token));
            held.map(|lock| Some(Held(lock))).ok_or_else(|| ErrorCode::LockTokenMismatch.into())
        }
    }
}

/// Refuses to take a lock that somebody holds, or that would be one too many.
pub(super) fn check_free(
    read: &dyn Read,
    shard: &Shard,
    user: &UserKey,
    path: &str,
) -> Result<(), ApplyError> {
    if live(read, shard, user, path)?.is_some() {
        return Err(ErrorCode::Locked.into());
    }
    if shard.locks.as_ref().is_some_and(|locks| LOCKS.is_full(locks)) {
        return Err(ErrorCode::GuardTableFull.into());
    }
    if has_locks(shard) && records::locks_of_user(read, user, LOCKS_OF_USER_MAX)? >= LOCKS_OF_USER_MAX {
        return Err(ErrorCode::TooManyLocks.into());
    }
    Ok(())
}

/// Takes a lock that is free.
pub(super) fn take(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    path: &str,
    token: &bytes::Bytes,
    timeout_s: u32,
) -> Result<(), ApplyError> {
    if token.len() != TOKEN_BYTES {
        return Err(ErrorCode::Internal.into());
    }
    // One that expired.
    release(turn, user, path)?;
    store(turn, user, path, Lock { token: token.clone(), ..Lock::default() }, timeout_s);
    Ok(())
}

/// Gives a lock so long to live from now on.
pub(super) fn renew(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    path: &str,
    Held(lock): Held,
    timeout_s: u32,
) -> Result<(), Error> {
    release(turn, user, path)?;
    store(turn, user, path, lock, timeout_s);
    Ok(())
}

/// Gives a lock at least so long to live from now on.
pub(super) fn extend(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    path: &str,
    held: Held,
    timeout_s: u32,
) -> Result<(), Error> {
    let left_s = held.0.until_s.saturating_sub(turn.now_s());
    if left_s >= u64::from(timeout_s) { Ok(()) } else { renew(turn, user, path, held, timeout_s) }
}

/// A write that holds a lock keeps it.
pub(super) fn keep(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    path: &str,
    held: Option<Held>,
) -> Result<(), Error> {
    held.map_or(Ok(()), |held| extend(turn, user, path, held, HELD_BY_WRITE_S))
}

/// The place of the token that holds, among those presented.
pub(super) fn place(Held(lock): &Held, presented: &LockTokens) -> u32 {
    let place = presented.tokens.iter().position(|token| *token == lock.token).unwrap_or(0);
    u32::try_from(place).unwrap_or(0)
}

/// Whether the path has a lock of this token. One that expired counts until its row is swept.
pub(super) fn is_known(
    read: &dyn Read,
    user: &UserKey,
    path: &str,
    token: &bytes::Bytes,
) -> Result<bool, Error> {
    Ok(records::lock(read, user, path)?.is_some_and(|lock| lock.token == *token))
}

/// Deletes the path's lock, if there is one.
pub(super) fn release(turn: &mut Turn<'_, '_>, user: &UserKey, path: &str) -> Result<(), Error> {
    if let Some(lock) = records::lock(&*turn.txn, user, path)? {
        let id = tables::lock_id(user, path);
        LOCKS.remove(turn.txn, table(&mut turn.shard.locks), &id, lock.dies_at_ms);
    }
    Ok(())
}

fn store(turn: &mut Turn<'_, '_>, user: &UserKey, path: &str, lock: Lock, timeout_s: u32) {
    let timeout_s = u64::from(timeout_s.clamp(1, LOCK_TIMEOUT_S_MAX));
    let from_s = turn.now_s();
    let dies_at_ms = turn.age_ms().saturating_add(timeout_s * 1000 + SWEEP_SLACK_MS);
    let lock = Lock { from_s, until_s: from_s.saturating_add(timeout_s), dies_at_ms, ..lock };
    let id = tables::lock_id(user, path);
    let row = Row { id: &id, dies_at_ms, mark: bytes::Bytes::new() };
    LOCKS.insert(turn.txn, table(&mut turn.shard.locks), row, records::encode(&lock));
}

/// The path's lock, if it lives.
fn live(read: &dyn Read, shard: &Shard, user: &UserKey, path: &str) -> Result<Option<Lock>, Error> {
    // Most shards have no lock at most times, and each write asks.
    if !has_locks(shard) || planted::ignore_locks() {
        return Ok(None);
    }
    let now_s = shard.now_ms / 1000;
    Ok(records::lock(read, user, path)?.filter(|lock| lock.from_s <= now_s && now_s < lock.until_s))
}

fn has_locks(shard: &Shard) -> bool {
    shard.locks.as_ref().is_some_and(|locks| locks.rows > 0)
}
