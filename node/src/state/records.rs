//! Typed access to single rows.

use bytes::Bytes;
use rowhouse_proto::wire::state::{
    Bearer, CookieSession, Entry, Event, Grant, PhysicalUsage, Shard, Usage, User, UserSessions,
};
use rowhouse_raft::Error;

use super::read::{Read, decode, load, unwrap_raw};
use super::tables;
use rowhouse_proto::domain::user::UserKey;

pub(crate) use super::read::{encode, wrap_raw};

/// Bytes that a file counts beyond its own (docs/rules/protocol.md#quotas).
pub(crate) const FILE_OVERHEAD_BYTES: u64 = 256;

/// A new shard's record is all zeros.
pub(crate) fn shard(read: &dyn Read) -> Result<Shard, Error> {
    Ok(load(read, &[tables::SHARD], "shard record")?.unwrap_or_default())
}

pub(crate) fn user(read: &dyn Read, user: &UserKey) -> Result<Option<User>, Error> {
    load(read, &tables::user(user), "user record")
}

pub(crate) fn usage(read: &dyn Read, user: &UserKey) -> Result<Usage, Error> {
    Ok(load(read, &tables::usage(user), "usage record")?.unwrap_or_default())
}

pub(crate) fn physical_usage(read: &dyn Read, user: &UserKey) -> Result<PhysicalUsage, Error> {
    Ok(load(read, &tables::physical_usage(user), "physical usage record")?.unwrap_or_default())
}

pub(crate) fn user_sessions(read: &dyn Read, user: &UserKey) -> Result<UserSessions, Error> {
    Ok(load(read, &tables::user_sessions(user), "record of a user's sessions")?.unwrap_or_default())
}

pub(crate) fn cookie_session(
    read: &dyn Read,
    user: &UserKey,
    secret_hash: &[u8],
) -> Result<Option<CookieSession>, Error> {
    load(read, &tables::cookie_session(user, secret_hash), "cookie session")
}

pub(crate) fn grant(read: &dyn Read, user: &UserKey, id: &str) -> Result<Option<Grant>, Error> {
    load(read, &tables::grant(user, id), "grant")
}

pub(crate) fn bearer(read: &dyn Read, hash: &[u8]) -> Result<Option<Bearer>, Error> {
    load(read, &tables::key(tables::BEARER, &[hash]), "bearer")
}

pub(crate) fn entry(read: &dyn Read, user: &UserKey, path: &str) -> Result<Option<Entry>, Error> {
    load(read, &tables::entry(user, path), "entry")
}

pub(crate) fn body(read: &dyn Read, user: &UserKey, path: &str) -> Result<Option<Bytes>, Error> {
    read.get(&tables::body(user, path))?.map(|value| unwrap_raw(&value, "body")).transpose()
}

pub(crate) fn decode_event(value: &[u8]) -> Result<Event, Error> {
    decode(value, "event")
}
