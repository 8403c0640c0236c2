//! The grants of a session's user that live. Any session may ask that has the root capability.

use std::ops::ControlFlow;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::shard::{GrantItem, GrantList, ListGrants};
use rowhouse_proto::wire::state::Grant;
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, View};

use super::entry::shard_now_s;
use crate::apply::ApplyError;
use crate::state::read::decode;
use crate::state::session::{self, Presented};
use crate::state::tables;

/// Oldest first. The rows of a user are bounded, and so is the list.
pub fn list_grants(view: &View<'_>, query: &ListGrants, now_ms: u64) -> Result<GrantList, ApplyError> {
    let now_s = shard_now_s(view, now_ms)?;
    let presented = Presented::in_query(query.credential.as_ref());
    // A bearer names its own user.
    let tenant = if query.tenant.is_empty() { UserKey::default() } else { user::parse(&query.tenant)? };
    let session = session::resolve(view, presented, &tenant, now_s)?.ok_or(ErrorCode::NoSession)?;
    if !session.is_root() {
        return Err(ErrorCode::RootRequired.into());
    }
    let mut live = live_grants(view, &session.user, now_s)?;
    live.sort_unstable_by_key(|(number, _)| *number);
    Ok(GrantList { grants: live.into_iter().map(|(_, item)| item).collect() })
}

fn live_grants(view: &View<'_>, user: &UserKey, now_s: u64) -> Result<Vec<(u64, GrantItem)>, Error> {
    let (mut live, mut failure) = (Vec::new(), None);
    let start = tables::key(tables::GRANT, &[user]);
    let end = tables::key(tables::GRANT, &[user, &[0xFF]]);
    view.scan(&start, &end, ScanOrder::Ascending, &mut |row: &[u8], value: &[u8]| {
        let id =
            std::str::from_utf8(&row[1 + user.len()..]).map_err(|error| Error::corrupt("grant id", error));
        match id.and_then(|id| Ok((id, decode::<Grant>(value, "grant")?))) {
            Ok((id, grant)) if grant.revoked_at.is_none() && grant.expires_at > now_s => {
                live.push((grant.number, item(id, grant)));
            }
            Ok(_) => {}
            Err(error) => {
                failure = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    })?;
    failure.map_or(Ok(live), Err)
}

fn item(id: &str, grant: Grant) -> GrantItem {
    GrantItem {
        grant_id: id.to_owned(),
        client_id: grant.client_id,
        capabilities: grant.capabilities,
        issued_at: grant.issued_at,
        expires_at: grant.expires_at,
    }
}
