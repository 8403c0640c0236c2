//! Keys of a shard's state: one table byte, then the fields by which rows are ordered, big endian.
//! Numbers are on disk and in snapshots: never reused, never changed.

use bytes::{BufMut, Bytes, BytesMut};
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::object::State;

/// The shard's own record; one row. Table 0 is the engine's.
pub const SHARD: u8 = 0x01;
/// user → User
pub const USER: u8 = 0x02;
/// user → Usage; apart from the account, because every write changes it
pub const USAGE: u8 = 0x03;
/// user → PhysicalUsage; none: all zeros. Apart from the usage, because other commands change it
pub const PHYSICAL_USAGE: u8 = 0x04;
/// user → UserSessions
pub const USER_SESSIONS: u8 = 0x05;
/// when the user signed up, user
pub const USER_CREATED: u8 = 0x06;
/// Usage.bytes, user
pub const USER_USED: u8 = 0x07;
/// user → VoidSignup; only of who does not exist
pub const VOID_SIGNUP: u8 = 0x08;
/// user; only disabled ones
pub const USER_DISABLED: u8 = 0x09;
/// user → UserPacket
pub const USER_PACKET: u8 = 0x0A;
/// user; only those who left
pub const USER_LEFT: u8 = 0x0B;
/// PacketPass; one row
pub const PACKET_PASS: u8 = 0x0C;
/// user, secret hash → CookieSession
pub const COOKIE_SESSION: u8 = 0x10;
/// user, grant id → Grant
pub const GRANT: u8 = 0x11;
/// bearer hash → Bearer
pub const BEARER: u8 = 0x12;
/// age of the shard at which the row dies, bearer hash
pub const BEARER_AGE: u8 = 0x13;
/// user, CookieSession.number → secret hash
pub const COOKIE_SESSION_ORDER: u8 = 0x14;
/// user, Grant.number → grant id; not of revoked ones
pub const GRANT_ORDER: u8 = 0x15;
/// user, expiry, grant id; not of revoked ones
pub const GRANT_EXPIRY: u8 = 0x16;
/// user, time issued, grant id; of revoked ones
pub const REVOKED_GRANT: u8 = 0x17;
/// user, timestamp → Guard
pub const AUTH_TOKEN: u8 = 0x20;
/// age at which it dies, user, timestamp
pub const AUTH_TOKEN_AGE: u8 = 0x21;
/// user, nonce → Guard
pub const NONCE: u8 = 0x22;
/// age at which it dies, user, nonce
pub const NONCE_AGE: u8 = 0x23;
/// request id → Request
pub const REQUEST: u8 = 0x24;
/// age at which it dies, request id → when the request was issued
pub const REQUEST_AGE: u8 = 0x25;
/// user, path → Entry
pub const ENTRY: u8 = 0x30;
/// user, path → the body; apart from the entry, so that listings read none
pub const BODY: u8 = 0x31;
/// user, path with its last slash: collections that an operator made. Those with a file below need no row
pub const COLLECTION: u8 = 0x32;
/// user, path → Lock
pub const LOCK: u8 = 0x33;
/// age at which it dies, user, path
pub const LOCK_AGE: u8 = 0x34;
/// event time → Event
pub const EVENT: u8 = 0x40;
/// user, event time: a user's own stream needs no scan of the shard's
pub const EVENT_OF_USER: u8 = 0x41;

/// object id → Object
pub const OBJECT: u8 = 0x50;
/// state, `Object.at`, object id: what is due next in each state
pub const OBJECT_STATE: u8 = 0x51;

/// A key of `table` from its parts.
pub fn key(table: u8, parts: &[&[u8]]) -> Bytes {
    let mut key = BytesMut::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.put_u8(table);
    for part in parts {
        key.put_slice(part);
    }
    key.freeze()
}

/// Key of a row of `USER`.
pub fn user(user: &UserKey) -> Bytes {
    key(USER, &[user])
}

/// Key of a row of `USER_CREATED`.
pub fn user_created(created_at_ms: u64, user: &UserKey) -> Bytes {
    key(USER_CREATED, &[&created_at_ms.to_be_bytes(), user])
}

/// Key of a row of `USER_USED`.
pub fn user_used(bytes: u64, user: &UserKey) -> Bytes {
    key(USER_USED, &[&bytes.to_be_bytes(), user])
}

/// Key of a row of `USER_DISABLED`.
pub fn user_disabled(user: &UserKey) -> Bytes {
    key(USER_DISABLED, &[user])
}

/// Key of a row of `USER_PACKET`.
pub fn user_packet(user: &UserKey) -> Bytes {
    key(USER_PACKET, &[user])
}

/// Key of a row of `USER_LEFT`.
pub fn user_left(user: &UserKey) -> Bytes {
    key(USER_LEFT, &[user])
}

/// Key of a row of `VOID_SIGNUP`.
pub fn void_signup(user: &UserKey) -> Bytes {
    key(VOID_SIGNUP, &[user])
}

/// Key of a row of `USAGE`.
pub fn usage(user: &UserKey) -> Bytes {
    key(USAGE, &[user])
}

/// Key of a row of `PHYSICAL_USAGE`.
pub fn physical_usage(user: &UserKey) -> Bytes {
    key(PHYSICAL_USAGE, &[user])
}

/// Key of a row of `USER_SESSIONS`.
pub fn user_sessions(user: &UserKey) -> Bytes {
    key(USER_SESSIONS, &[user])
}

/// Key of a row of `COOKIE_SESSION`.
pub fn cookie_session(user: &UserKey, secret_hash: &[u8]) -> Bytes {
    key(COOKIE_SESSION, &[user, secret_hash])
}

/// Key of a row of `GRANT`.
pub fn grant(user: &UserKey, id: &str) -> Bytes {
    key(GRANT, &[user, id.as_bytes()])
}

/// Key of a row of `GRANT_EXPIRY`.
pub fn grant_expiry(user: &UserKey, expires_at: u64, id: &str) -> Bytes {
    key(GRANT_EXPIRY, &[user, &expires_at.to_be_bytes(), id.as_bytes()])
}

/// Key of a row of `REVOKED_GRANT`.
pub fn revoked_grant(user: &UserKey, issued_at: u64, id: &str) -> Bytes {
    key(REVOKED_GRANT, &[user, &issued_at.to_be_bytes(), id.as_bytes()])
}

/// Key of a row of `ENTRY`.
pub fn entry(user: &UserKey, path: &str) -> Bytes {
    key(ENTRY, &[user, path.as_bytes()])
}

/// Key of a row of `BODY`.
pub fn body(user: &UserKey, path: &str) -> Bytes {
    key(BODY, &[user, path.as_bytes()])
}

/// Key of a row of `COLLECTION`.
pub fn collection(user: &UserKey, directory: &str) -> Bytes {
    key(COLLECTION, &[user, directory.as_bytes()])
}

/// What comes behind the table in a key of `LOCK`.
pub fn lock_id(user: &UserKey, path: &str) -> Vec<u8> {
    [user, path.as_bytes()].concat()
}

/// Key of a row of `EVENT`.
pub fn event(t: u64) -> Bytes {
    key(EVENT, &[&t.to_be_bytes()])
}

/// Key of a row of `EVENT_OF_USER`.
pub fn event_of_user(user: &UserKey, t: u64) -> Bytes {
    key(EVENT_OF_USER, &[user, &t.to_be_bytes()])
}

/// Key of a row of `OBJECT`.
pub fn object(id: &[u8]) -> Bytes {
    key(OBJECT, &[id])
}

/// Key of a row of `OBJECT_STATE`.
pub fn object_state(state: State, at: u64, id: &[u8]) -> Bytes {
    // States are numbered by the wire contract, far below 256.
    key(OBJECT_STATE, &[&[state as u8], &at.to_be_bytes(), id])
}

/// Where an entry's path begins within its key.
pub const ENTRY_PATH_AT: usize = 1 + 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_order_paths_bytewise_within_a_user() {
        let (a, b) = ([1; 32], [2; 32]);
        let ordered =
            [entry(&a, "/pub/x-y"), entry(&a, "/pub/x/y"), entry(&a, "/pub/x0"), entry(&b, "/pub/a")];
        assert!(ordered.is_sorted());
        assert_eq!(&ordered[0][ENTRY_PATH_AT..], b"/pub/x-y");
    }

    #[test]
    fn events_order_by_time() {
        assert!(event(255) < event(256));
        assert!(event_of_user(&[1; 32], u64::MAX) < event_of_user(&[2; 32], 0));
    }
}
