//! From a presented credential to a live session. Identity and capabilities come from stored rows only
//! (docs/rules/protocol.md#cookie-sessions), so a revocation holds from the entry that applied it.

use pubky_common::capabilities::Capability;
use rowhouse_proto::domain::authorize::SessionView;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Bearer, Grant};
use rowhouse_proto::wire::{command, shard};
use rowhouse_raft::Error;

use super::log_time::CORRECTION_MS;
use super::read::Read;
use super::records;

/// A bearer's life; clients refresh five minutes before its end.
pub const BEARER_LIFETIME_S: u64 = 3600;
/// No bearer has longer to live, unless it was minted while the clocks were ahead.
const BEARER_LEFT_S_MAX: u64 = BEARER_LIFETIME_S + CORRECTION_MS / 1000;

/// The hashed credential of a request; gateway and log have a message each for it.
#[derive(Clone, Copy)]
pub(crate) enum Presented<'a> {
    Bearer(&'a [u8]),
    Cookie(&'a [u8]),
    /// Whom the gateway knows by password.
    Operator,
}

impl<'a> Presented<'a> {
    /// The credential that a command carries; `None` for a request without one.
    pub(crate) fn in_command(credential: Option<&'a command::Credential>) -> Option<Self> {
        Some(match credential?.kind.as_ref()? {
            command::credential::Kind::BearerHash(hash) => Self::Bearer(hash),
            command::credential::Kind::CookieHash(hash) => Self::Cookie(hash),
            command::credential::Kind::Operator(_) => Self::Operator,
        })
    }

    /// The credential that a query carries; `None` for a request without one.
    pub(crate) fn in_query(credential: Option<&'a shard::Credential>) -> Option<Self> {
        Some(match credential?.kind.as_ref()? {
            shard::credential::Kind::BearerHash(hash) => Self::Bearer(hash),
            shard::credential::Kind::CookieHash(hash) => Self::Cookie(hash),
            shard::credential::Kind::Operator(_) => Self::Operator,
        })
    }
}

/// A bearer that works now, with the grant behind it.
pub(crate) struct LiveBearer {
    pub(crate) user: UserKey,
    pub(crate) bearer: Bearer,
    pub(crate) grant: Grant,
}

/// `None` when unknown, expired, replaced, or when its grant has expired or was revoked.
pub(crate) fn live_bearer(read: &dyn Read, hash: &[u8], now_s: u64) -> Result<Option<LiveBearer>, Error> {
    let Some(bearer) = records::bearer(read, hash)? else { return Ok(None) };
    let user: UserKey = bearer.user[..].try_into().map_err(|error| Error::corrupt("bearer's user", error))?;
    let Some(grant) = records::grant(read, &user, &bearer.grant_id)? else { return Ok(None) };
    let live = bearer.expires_at > now_s
        && bearer.expires_at - now_s <= BEARER_LEFT_S_MAX
        && grant.expires_at > now_s
        && grant.revoked_at.is_none()
        && grant.sessions.iter().any(|session| session.bearer_hash == hash);
    Ok(live.then_some(LiveBearer { user, bearer, grant }))
}

/// The session a request has; a cookie counts only for the tenant it is named after.
pub(crate) fn resolve(
    read: &dyn Read,
    presented: Option<Presented<'_>>,
    tenant: &UserKey,
    now_s: u64,
) -> Result<Option<SessionView>, Error> {
    match presented {
        // An operator has no session: where one may act, it is asked for apart.
        None | Some(Presented::Operator) => Ok(None),
        Some(Presented::Bearer(hash)) => {
            let Some(live) = live_bearer(read, hash, now_s)? else { return Ok(None) };
            Ok(Some(SessionView { user: live.user, capabilities: parse(&live.grant.capabilities) }))
        }
        Some(Presented::Cookie(hash)) => Ok(records::cookie_session(read, tenant, hash)?
            .map(|row| SessionView { user: *tenant, capabilities: parse(&row.capabilities) })),
    }
}

/// A capability this program cannot read grants nothing.
fn parse(capabilities: &[String]) -> Vec<Capability> {
    capabilities.iter().filter_map(|text| text.parse().ok()).collect()
}
