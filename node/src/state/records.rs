//! Typed access to single rows.

use std::ops::ControlFlow;

use bytes::Bytes;
use rowhouse_proto::wire::state::{
    Bearer, CookieSession, Entry, Grant, Lock, PacketPass, PhysicalUsage, Shard, Usage, User, UserPacket,
    UserSessions, VoidSignup,
};
use rowhouse_raft::Error;

use super::read::{Read, decode, load, unwrap_raw};
use super::tables;
use rowhouse_proto::domain::user::UserKey;

pub(crate) use super::read::{encode, wrap_raw};

/// Bytes that a file counts beyond its own (docs/rules/protocol.md#quotas).
pub(crate) const FILE_OVERHEAD_BYTES: u64 = 256;

/// The shard's own record; a new shard's is all zeros.
pub(crate) fn shard(read: &dyn Read) -> Result<Shard, Error> {
    Ok(load(read, &[tables::SHARD], "shard record")?.unwrap_or_default())
}

/// The account, `None` if nobody signed up with this key.
pub(crate) fn user(read: &dyn Read, user: &UserKey) -> Result<Option<User>, Error> {
    load(read, &tables::user(user), "user record")
}

/// What was seen of the user's packet; empty if none was.
pub(crate) fn user_packet(read: &dyn Read, user: &UserKey) -> Result<UserPacket, Error> {
    Ok(load(read, &tables::user_packet(user), "user's packet")?.unwrap_or_default())
}

/// How far the pass over the users' packets is; `None` before the first one.
pub(crate) fn packet_pass(read: &dyn Read) -> Result<Option<PacketPass>, Error> {
    load(read, &[tables::PACKET_PASS], "pass over packets")
}

/// Reservations of a signup token up to this number make no account for this user; 0: there are none.
pub(crate) fn void_signup(read: &dyn Read, user: &UserKey) -> Result<u64, Error> {
    let row: Option<VoidSignup> = load(read, &tables::void_signup(user), "void signup")?;
    Ok(row.map_or(0, |row| row.number))
}

/// The bytes the user is charged for; zero without a record.
pub(crate) fn usage(read: &dyn Read, user: &UserKey) -> Result<Usage, Error> {
    Ok(load(read, &tables::usage(user), "usage record")?.unwrap_or_default())
}

/// The bytes the user's uploads and objects take on disks; zero without a record.
pub(crate) fn physical_usage(read: &dyn Read, user: &UserKey) -> Result<PhysicalUsage, Error> {
    Ok(load(read, &tables::physical_usage(user), "physical usage record")?.unwrap_or_default())
}

/// The counts and order of the user's cookie sessions and grants; empty without a record.
pub(crate) fn user_sessions(read: &dyn Read, user: &UserKey) -> Result<UserSessions, Error> {
    Ok(load(read, &tables::user_sessions(user), "record of a user's sessions")?.unwrap_or_default())
}

/// The cookie session whose secret has this SHA-256.
pub(crate) fn cookie_session(
    read: &dyn Read,
    user: &UserKey,
    secret_hash: &[u8],
) -> Result<Option<CookieSession>, Error> {
    load(read, &tables::cookie_session(user, secret_hash), "cookie session")
}

/// The grant with this id, revoked or not.
pub(crate) fn grant(read: &dyn Read, user: &UserKey, id: &str) -> Result<Option<Grant>, Error> {
    load(read, &tables::grant(user, id), "grant")
}

/// The bearer with this SHA-256, of any user of the shard, expired or not.
pub(crate) fn bearer(read: &dyn Read, hash: &[u8]) -> Result<Option<Bearer>, Error> {
    load(read, &tables::key(tables::BEARER, &[hash]), "bearer")
}

/// The file at this path, without its body.
pub(crate) fn entry(read: &dyn Read, user: &UserKey, path: &str) -> Result<Option<Entry>, Error> {
    load(read, &tables::entry(user, path), "entry")
}

/// An entry from its row.
pub(crate) fn decode_entry(value: &[u8]) -> Result<Entry, Error> {
    decode(value, "entry")
}

/// The body of the file at this path, if it is one that lies in the log.
pub(crate) fn body(read: &dyn Read, user: &UserKey, path: &str) -> Result<Option<Bytes>, Error> {
    read.get(&tables::body(user, path))?.map(|value| unwrap_raw(&value, "body")).transpose()
}

/// The lock of this path, expired or not.
pub(crate) fn lock(read: &dyn Read, user: &UserKey, path: &str) -> Result<Option<Lock>, Error> {
    load(read, &tables::key(tables::LOCK, &[user, path.as_bytes()]), "lock")
}

/// The rows of the user's locks, as far as they are counted.
pub(crate) fn locks_of_user(read: &dyn Read, user: &UserKey, most: usize) -> Result<usize, Error> {
    let (from, to) = (tables::key(tables::LOCK, &[user]), tables::key(tables::LOCK, &[user, &[0xFF]]));
    let mut rows = 0;
    read.scan(&from, &to, &mut |_, _| {
        rows += 1;
        if rows < most { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(rows)
}
