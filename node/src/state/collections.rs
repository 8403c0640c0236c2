//! Collections of WebDAV: the directories above files, the roots, and those that an operator made and has rows for.
//! Clients of the storage routes see only the first kind.

use std::ops::ControlFlow;

use pubky_common::StoragePath;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::Entry;
use rowhouse_raft::Error;

use super::{Read, records, tables};

/// What is at a path.
pub enum Found {
    Nothing,
    File(Entry),
    Collection,
}

/// What is at a path. Where both could be, a file hides a collection. The user exists.
pub fn find(read: &dyn Read, user: &UserKey, path: &StoragePath) -> Result<Found, Error> {
    let text = path.as_str();
    let trimmed = text.trim_end_matches('/');
    if !trimmed.is_empty()
        && let Some(entry) = records::entry(read, user, trimmed)?
    {
        return Ok(Found::File(entry));
    }
    Ok(if exists(read, user, &format!("{trimmed}/"))? { Found::Collection } else { Found::Nothing })
}

/// Whether there is a collection of this name, which ends in a slash.
pub(crate) fn exists(read: &dyn Read, user: &UserKey, directory: &str) -> Result<bool, Error> {
    Ok(is_root(directory)
        || first_below(read, tables::ENTRY, user, directory)?
        || first_below(read, tables::COLLECTION, user, directory)?)
}

/// Whether it is `/pub/` or `/priv/`, which are always there.
pub(crate) fn is_root(directory: &str) -> bool {
    matches!(directory, "/pub/" | "/priv/")
}

/// The first string above everything that starts with `directory`, which ends in '/': '0' follows '/'.
pub(crate) fn end_of(directory: &str) -> String {
    format!("{}0", directory.trim_end_matches('/'))
}

fn first_below(read: &dyn Read, table: u8, user: &UserKey, directory: &str) -> Result<bool, Error> {
    let mut found = false;
    visit(read, table, user, directory, &end_of(directory), &mut |_, _| {
        found = true;
        Ok(ControlFlow::Break(()))
    })?;
    Ok(found)
}

/// Sees a row's path and value, and says whether to go on.
pub(crate) type See<'v> = dyn FnMut(&str, &[u8]) -> Result<ControlFlow<()>, Error> + 'v;

/// Sees the path and the value of each row with `from <= path < to`, in order, until it breaks or fails.
pub(crate) fn visit(
    read: &dyn Read,
    table: u8,
    user: &UserKey,
    from: &str,
    to: &str,
    visit: &mut See<'_>,
) -> Result<(), Error> {
    let key = |path: &str| tables::key(table, &[user, path.as_bytes()]);
    let mut failure = None;
    read.scan(&key(from), &key(to), &mut |key, value| {
        let seen = std::str::from_utf8(&key[tables::ENTRY_PATH_AT..])
            .map_err(|error| Error::corrupt("entry's path", error))
            .and_then(|path| visit(path, value));
        seen.unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or(Ok(()), Err)
}
