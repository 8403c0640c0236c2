//! Rows of a user's cookie sessions. They never expire, so that their number needs a bound: the oldest ends when there
//! are too many.

use bytes::Bytes;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::CookieSession;
use rowhouse_raft::Error;

use super::turn::Turn;
use crate::state::roster::COOKIE_SESSIONS;
use crate::state::{records, tables};

/// Most cookie sessions of a user: far above the devices and programs of one person.
pub const COOKIE_SESSIONS_MAX: u64 = 1024;

/// Stores a new session; its number is given here.
pub(super) fn add(
    turn: &mut Turn<'_, '_>,
    user: &UserKey,
    secret_hash: &Bytes,
    row: CookieSession,
) -> Result<(), Error> {
    // A secret that comes twice is one session.
    remove(turn, user, secret_hash)?;
    let mut sessions = records::user_sessions(&*turn.txn, user)?;
    let roster = sessions.cookies.get_or_insert_default();
    if roster.rows >= COOKIE_SESSIONS_MAX
        && let Some(oldest) = COOKIE_SESSIONS.oldest(&*turn.txn, user, roster)?
    {
        let number = roster.first;
        COOKIE_SESSIONS.remove(turn.txn, user, roster, number);
        turn.txn.delete(tables::cookie_session(user, &oldest));
    }
    let number = COOKIE_SESSIONS.add(turn.txn, user, roster, secret_hash);
    turn.txn
        .put(tables::cookie_session(user, secret_hash), records::encode(&CookieSession { number, ..row }));
    turn.txn.put(tables::user_sessions(user), records::encode(&sessions));
    Ok(())
}

/// Ends a session, if there is one.
pub(super) fn remove(turn: &mut Turn<'_, '_>, user: &UserKey, secret_hash: &[u8]) -> Result<(), Error> {
    let Some(row) = records::cookie_session(&*turn.txn, user, secret_hash)? else { return Ok(()) };
    let mut sessions = records::user_sessions(&*turn.txn, user)?;
    COOKIE_SESSIONS.remove(turn.txn, user, sessions.cookies.get_or_insert_default(), row.number);
    turn.txn.delete(tables::cookie_session(user, secret_hash));
    turn.txn.put(tables::user_sessions(user), records::encode(&sessions));
    Ok(())
}
