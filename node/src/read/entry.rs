//! GET and HEAD of a file. Authorization comes before existence, so that a refusal tells nothing.

use bytes::Bytes;
use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::domain::{authorize, path};
use rowhouse_proto::wire::shard::{Credential, Entry, ReadEntry};
use rowhouse_raft::Error;
use rowhouse_raft::state::View;

use crate::apply::ApplyError;
use crate::state::session::{self, Presented};
use crate::state::{log_time, records};

/// `now_ms` is the leader's physical clock. A directory's name is no file: 404.
pub fn read_entry(view: &View<'_>, query: &ReadEntry, now_ms: u64) -> Result<Entry, ApplyError> {
    let (user, path) = may_read(view, query.credential.as_ref(), &query.tenant, &query.path, now_ms)?;
    if query.of_enabled && records::user(view, &user)?.ok_or(ErrorCode::NotFound)?.disabled {
        return Err(ErrorCode::UserDisabled.into());
    }
    let entry = records::entry(view, &user, path.as_str())?.ok_or(ErrorCode::NotFound)?;
    let body = if query.head || !entry.object.is_empty() {
        Bytes::new()
    } else {
        records::body(view, &user, path.as_str())?
            .ok_or_else(|| Error::corrupt("entry", "its body is missing"))?
    };
    Ok(Entry {
        hash: entry.hash,
        length: entry.length,
        content_type: entry.content_type,
        modified_ms: entry.modified_ms,
        body,
        object: entry.object,
        of_enabled: query.of_enabled,
    })
}

/// Sessions are looked up only where a read is not open to all.
pub(super) fn may_read(
    view: &View<'_>,
    credential: Option<&Credential>,
    tenant: &[u8],
    path: &str,
    now_ms: u64,
) -> Result<(UserKey, StoragePath), ApplyError> {
    let tenant = user::parse(tenant)?;
    let path = path::parse_canonical(path)?;
    if authorize::is_open_read(&path) {
        return Ok((tenant, path));
    }
    let session = match Presented::in_query(credential) {
        Some(Presented::Operator) => return Ok((tenant, path)),
        None => None,
        presented => session::resolve(view, presented, &tenant, shard_now_s(view, now_ms)?)?,
    };
    authorize::read(session.as_ref(), &tenant, &path)?;
    Ok((tenant, path))
}

/// Never behind what apply would judge by.
pub(super) fn shard_now_s(view: &View<'_>, now_ms: u64) -> Result<u64, Error> {
    Ok(log_time::shard_now(records::shard(view)?.now_ms, now_ms) / 1000)
}
