//! Replay guards: an AuthToken and a PoP nonce are good once for each user (docs/rules/protocol.md#replay-guards).
//!
//! A guard is consumed whether or not the rest of its command succeeds. The tokens' own windows are judged again here
//! by `shard_now`, so that leaders with differing clocks cannot accept a token twice. A guard outlives its token's
//! window by the shard's age, so that a clock that leaps a few times cannot have it forgotten.

use bytes::Bytes;
use pubky_common::auth;
use rowhouse_proto::domain::jws;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::command::{AuthTokenId, PopNonce};
use rowhouse_proto::wire::state::{self, AgedTable, Shard};
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

use super::error::ApplyError;
use super::turn::{Turn, table};
use crate::state::aged::{AUTH_TOKENS, Aged, NONCES, Row};
use crate::state::read::{Read, decode};
use crate::state::records;

/// An AuthToken is good this long before and after its timestamp; the protocol's own window.
const AUTH_TOKEN_WINDOW_MS: u64 = 180_000;
/// Longest time between two moments that are both within a token's window. A proof's is counted in whole
/// seconds on both sides, which adds one.
const GUARD_WINDOW_MS: u64 = 2 * AUTH_TOKEN_WINDOW_MS + 1_000;
/// Hundreds of leaps of a clock.
const GUARD_SLACK_MS: u64 = 60_000;
const GUARD_LIFETIME_MS: u64 = GUARD_WINDOW_MS + GUARD_SLACK_MS;

/// The token or nonce that one command spends.
#[derive(Clone, Copy)]
pub(super) enum Guard<'a> {
    AuthToken(&'a AuthTokenId),
    Nonce(&'a PopNonce),
}

impl Guard<'_> {
    fn kind(self) -> (&'static Aged, ErrorCode) {
        match self {
            Self::AuthToken(_) => (&AUTH_TOKENS, ErrorCode::AuthTokenReused),
            Self::Nonce(_) => (&NONCES, ErrorCode::PopNonceReused),
        }
    }

    fn id(self, user: &UserKey) -> Vec<u8> {
        match self {
            Self::AuthToken(token) => [&user[..], &token.timestamp_us.to_be_bytes()].concat(),
            Self::Nonce(nonce) => [&user[..], nonce.nonce.as_bytes()].concat(),
        }
    }

    /// `None` for an empty table.
    fn table(self, shard: &Shard) -> Option<&AgedTable> {
        match self {
            Self::AuthToken(_) => shard.auth_tokens.as_ref(),
            Self::Nonce(_) => shard.nonces.as_ref(),
        }
    }

    fn table_mut(self, shard: &mut Shard) -> &mut AgedTable {
        match self {
            Self::AuthToken(_) => table(&mut shard.auth_tokens),
            Self::Nonce(_) => table(&mut shard.nonces),
        }
    }

    fn check_window(self, now_ms: u64) -> Result<(), Refusal> {
        match self {
            Self::AuthToken(token) => check_auth_token_window(token.timestamp_us / 1000, now_ms),
            Self::Nonce(nonce) => {
                nonce.issued_at.map_or(Ok(()), |issued_at| jws::check_pop_time(issued_at, now_ms / 1000))
            }
        }
    }
}

fn check_auth_token_window(timestamp_ms: u64, now_ms: u64) -> Result<(), Refusal> {
    let error = if timestamp_ms > now_ms.saturating_add(AUTH_TOKEN_WINDOW_MS) {
        auth::Error::TooFarInTheFuture
    } else if timestamp_ms.saturating_add(AUTH_TOKEN_WINDOW_MS) < now_ms {
        auth::Error::Expired
    } else {
        return Ok(());
    };
    Err(Refusal::new(ErrorCode::InvalidAuthToken, error.to_string()))
}

/// The age at which a consumed guard is forgotten, if its row is still there.
fn dies_at_ms(read: &dyn Read, guard: Guard<'_>, user: &UserKey) -> Result<Option<u64>, Error> {
    let (rows, _) = guard.kind();
    let Some(value) = rows.get(read, &guard.id(user))? else { return Ok(None) };
    Ok(Some(decode::<state::Guard>(&value, "replay guard")?.dies_at_ms))
}

/// Refuses what `consume` would refuse, and consumes nothing. `shard` is the record with the command's times.
pub(super) fn check(
    read: &dyn Read,
    shard: &Shard,
    guard: Guard<'_>,
    user: &UserKey,
) -> Result<(), ApplyError> {
    guard.check_window(shard.now_ms)?;
    let (rows, reused) = guard.kind();
    if dies_at_ms(read, guard, user)?.is_some_and(|dies_at_ms| dies_at_ms >= shard.age_ms) {
        return Err(reused.into());
    }
    match guard.table(shard) {
        Some(table) if rows.is_full(table) => Err(ErrorCode::GuardTableFull.into()),
        _ => Ok(()),
    }
}

/// Spends the guard, whatever becomes of the command afterwards.
pub(super) fn consume(turn: &mut Turn<'_, '_>, guard: Guard<'_>, user: &UserKey) -> Result<(), ApplyError> {
    check(&*turn.txn, &turn.shard, guard, user)?;
    let forgotten = dies_at_ms(&*turn.txn, guard, user)?;
    let dies_at_ms = turn.age_ms().saturating_add(GUARD_LIFETIME_MS);
    let (rows, _) = guard.kind();
    let id = guard.id(user);
    let table = guard.table_mut(&mut turn.shard);
    if let Some(dead_since) = forgotten {
        rows.remove(turn.txn, table, &id, dead_since);
    }
    let row = Row { id: &id, dies_at_ms, mark: Bytes::new() };
    rows.insert(turn.txn, table, row, records::encode(&state::Guard { dies_at_ms }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_auth_token_is_good_for_three_minutes_each_way() {
        let now = 1_800_000_000_000;
        let text =
            |timestamp_ms| check_auth_token_window(timestamp_ms, now).err().map(|refusal| refusal.detail);
        assert_eq!(text(now - 180_000), None);
        assert_eq!(text(now + 180_000), None);
        assert!(text(now - 180_001).is_some_and(|text| text.ends_with("3 minutes in the past")));
        assert!(text(now + 180_001).is_some_and(|text| text.ends_with("3 minutes in the future")));
    }
}
