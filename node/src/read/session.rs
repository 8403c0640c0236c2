//! GET of the session behind a credential.

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user;
use rowhouse_proto::wire::shard::query_reply::Result as Reply;
use rowhouse_proto::wire::shard::{CookieSession, GetSession, GrantSession};
use rowhouse_raft::state::View;

use super::entry::shard_now_s;
use crate::apply::ApplyError;
use crate::state::records;
use crate::state::session::{Presented, live_bearer};

/// Whether the route asked for this kind of session is the gateway's to judge.
pub fn get_session(view: &View<'_>, query: &GetSession, now_ms: u64) -> Result<Reply, ApplyError> {
    match Presented::in_query(query.credential.as_ref()) {
        None | Some(Presented::Operator) => Err(ErrorCode::NoSession.into()),
        Some(Presented::Bearer(hash)) => {
            let now_s = shard_now_s(view, now_ms)?;
            let live = live_bearer(view, hash, now_s)?.ok_or(ErrorCode::NoSession)?;
            Ok(Reply::GrantSession(GrantSession {
                user: live.bearer.user,
                client_id: live.grant.client_id,
                capabilities: live.grant.capabilities,
                grant_id: live.bearer.grant_id,
                token_expires_at: live.bearer.expires_at,
                grant_expires_at: live.grant.expires_at,
                created_at: live.grant.created_at,
            }))
        }
        Some(Presented::Cookie(hash)) => {
            let tenant = user::parse(&query.tenant)?;
            let row = records::cookie_session(view, &tenant, hash)?.ok_or(ErrorCode::NoSession)?;
            Ok(Reply::CookieSession(CookieSession {
                user: query.tenant.clone(),
                capabilities: row.capabilities,
                created_at_us: row.created_at_us,
            }))
        }
    }
}
