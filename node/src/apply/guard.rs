//! Replay guards: an AuthToken and a PoP nonce are good once for each user (architecture.md, decision 16).
//!
//! A guard is consumed whether or not the rest of its command succeeds. The tokens' own windows are judged
//! again here by `shard_now`: a guard is forgotten only when its token is too old by the same clock, so
//! leaders with differing clocks cannot accept it twice.

use pubky_common::auth;
use rowhouse_proto::domain::jws;
use rowhouse_proto::wire::command::{AuthTokenId, PopNonce};
use rowhouse_proto::wire::state::{self, AgedTable, Shard};
use rowhouse_proto::{ErrorCode, Refusal};
use rowhouse_raft::Error;

use super::GUARD_LIFETIME_MS;
use super::stop::Stop;
use super::turn::{Turn, table};
use crate::state::aged::{AUTH_TOKENS, Aged, NONCES};
use crate::state::read::{Read, decode};
use crate::state::records;
use rowhouse_proto::domain::user::UserKey;

/// An AuthToken is good this long before and after its timestamp; the protocol's own window.
const AUTH_TOKEN_WINDOW_MS: u64 = 180_000;

/// What one command consumes.
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

    fn table(self, shard: &mut Shard) -> &mut AgedTable {
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

/// When the guard was consumed, if it is still remembered.
fn seen_ms(read: &dyn Read, guard: Guard<'_>, user: &UserKey) -> Result<Option<u64>, Error> {
    let (rows, _) = guard.kind();
    let Some(value) = rows.get(read, &guard.id(user))? else { return Ok(None) };
    Ok(Some(decode::<state::Guard>(&value, "replay guard")?.seen_ms))
}

/// Refuses what `consume` would refuse, and consumes nothing.
pub(super) fn check(
    read: &dyn Read,
    shard: &Shard,
    guard: Guard<'_>,
    user: &UserKey,
    now_ms: u64,
) -> Result<(), Stop> {
    guard.check_window(now_ms)?;
    let (rows, reused) = guard.kind();
    if seen_ms(read, guard, user)?.is_some_and(|seen| seen.saturating_add(GUARD_LIFETIME_MS) >= now_ms) {
        return Err(reused.into());
    }
    let mut shard = *shard;
    if rows.is_full(guard.table(&mut shard)) { Err(ErrorCode::GuardTableFull.into()) } else { Ok(()) }
}

/// After this the guard is spent, whatever becomes of the command.
pub(super) fn consume(turn: &mut Turn<'_, '_>, guard: Guard<'_>, user: &UserKey) -> Result<(), Stop> {
    let now_ms = turn.now_ms();
    check(&*turn.txn, &turn.shard, guard, user, now_ms)?;
    let forgotten = seen_ms(&*turn.txn, guard, user)?;
    let (rows, _) = guard.kind();
    let id = guard.id(user);
    let table = guard.table(&mut turn.shard);
    if let Some(seen) = forgotten {
        rows.remove(turn.txn, table, &id, seen);
    }
    let row = records::encode(&state::Guard { seen_ms: now_ms });
    rows.insert(turn.txn, table, &id, now_ms, row);
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
