//! The rates of the user whose session a request is of. Told with the answer, from the view that judged the session.

use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::domain::{authorize, path, quota};
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::shard::query_request::Op;
use rowhouse_proto::wire::shard::{Bandwidth, Credential};
use rowhouse_raft::Error;
use rowhouse_raft::state::View;

use super::entry::shard_now_s;
use crate::apply::ApplyError;
use crate::state::session::{self, Presented};
use crate::state::{Read, records};

/// The rates in effect for a user; `None` without any. `defaults` are the cluster's.
pub fn bandwidth(
    read: &dyn Read,
    user: &UserKey,
    defaults: Option<&UserQuota>,
) -> Result<Option<Bandwidth>, Error> {
    let own = records::user(read, user)?.and_then(|account| account.quota);
    let (read, write) =
        (quota::read_bandwidth(own.as_ref(), defaults), quota::write_bandwidth(own.as_ref(), defaults));
    let limited = read.is_some() || write.is_some();
    Ok(limited.then(|| Bandwidth { user: user.to_vec().into(), read, write }))
}

/// The rates of who reads, after the read was allowed. A `reader` of what is open to all is told of in any case, if its
/// session lives. `defaults` are looked up only where they matter. `now_ms` is `None` while this node does not know the time: then no bearer is known to live.
pub fn bandwidth_of_read(
    view: &View<'_>,
    op: &Op,
    reader: Option<&Credential>,
    defaults: impl Fn() -> Option<UserQuota>,
    now_ms: Option<u64>,
) -> Result<Option<Bandwidth>, ApplyError> {
    let (tenant, path, credential) = match op {
        Op::ReadEntry(query) => (&query.tenant, &query.path, query.credential.as_ref()),
        Op::ListEntries(query) => (&query.tenant, &query.path, query.credential.as_ref()),
        _ => return Ok(None),
    };
    if reader.is_none() && credential.is_none() {
        return Ok(None);
    }
    let tenant = user::parse(tenant)?;
    if !authorize::is_open_read(&path::parse_canonical(path)?) {
        // Nobody but the tenant may read it, and the operator, who has no rate.
        let by_operator = matches!(Presented::in_query(credential), Some(Presented::Operator));
        return if by_operator { Ok(None) } else { Ok(bandwidth(view, &tenant, defaults().as_ref())?) };
    }
    let (Some(reader), Some(now_ms)) = (Presented::in_query(reader), now_ms) else { return Ok(None) };
    let session = session::resolve(view, Some(reader), &tenant, shard_now_s(view, now_ms)?)?;
    let Some(session) = session else { return Ok(None) };
    let told = bandwidth(view, &session.user, defaults().as_ref())?;
    let nothing = || Bandwidth { user: session.user.to_vec().into(), ..Bandwidth::default() };
    Ok(Some(told.unwrap_or_else(nothing)))
}
