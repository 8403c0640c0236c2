//! Asking shards about sessions. A bearer is looked up in the shard that its own slot names, a cookie in its tenant's.
//! Nothing is remembered between requests, so that a revocation holds at once everywhere.

use std::future::Future;

use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::SecretHash;
use rowhouse_proto::wire::shard::{
    CookieSession, Credential, GetSession, GrantSession, query_reply, query_request,
};

use crate::app::App;
use crate::cluster::Call;
use crate::credentials::{BearerHash, Credentials, cookie_wire};
use crate::respond::Rejection;

/// A session that its shard knows and has not ended.
pub enum Session {
    Grant(GrantSession),
    Cookie(CookieSession),
}

/// The session a request runs under: the bearer's, else the cookie's.
pub async fn authenticate(
    app: &App,
    call: &Call,
    credentials: &Credentials,
    tenant: Option<&PublicKey>,
) -> Result<Option<Session>, Rejection> {
    if let Some(bearer) = credentials.bearer
        && let Some(session) = by_bearer(app, call, bearer).await?
    {
        return Ok(Some(Session::Grant(session)));
    }
    let (Some(tenant), Some(cookie)) = (tenant, credentials.cookie) else { return Ok(None) };
    Ok(by_cookie(app, call, tenant, cookie).await?.map(Session::Cookie))
}

/// The session of a bearer; `None` if its shard knows none that lives.
pub async fn by_bearer(
    app: &App,
    call: &Call,
    bearer: BearerHash,
) -> Result<Option<GrantSession>, Rejection> {
    let shard = app.cluster.map().await?.shard_of_slot(bearer.slot);
    let op = GetSession { credential: Some(bearer.wire()), tenant: Default::default() };
    match alive(app.cluster.query(call, shard, query_request::Op::GetSession(op)).await)? {
        None => Ok(None),
        Some(query_reply::Result::GrantSession(session)) => Ok(Some(session)),
        Some(_) => Err(ErrorCode::Internal.into()),
    }
}

async fn by_cookie(
    app: &App,
    call: &Call,
    tenant: &PublicKey,
    cookie: SecretHash,
) -> Result<Option<CookieSession>, Rejection> {
    let op = GetSession { credential: Some(cookie_wire(cookie)), tenant: tenant.as_bytes().to_vec().into() };
    let shard = app.cluster.shard_of_user(tenant).await?;
    match alive(app.cluster.query(call, shard, query_request::Op::GetSession(op)).await)? {
        None => Ok(None),
        Some(query_reply::Result::CookieSession(session)) => Ok(Some(session)),
        Some(_) => Err(ErrorCode::Internal.into()),
    }
}

fn alive(answer: Result<query_reply::Result, Rejection>) -> Result<Option<query_reply::Result>, Rejection> {
    match answer {
        Ok(result) => Ok(Some(result)),
        Err(rejection) if is_dead(rejection.code()) => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

fn is_dead(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NoSession | ErrorCode::Unauthorized | ErrorCode::ReadNeedsAuth)
}

/// Asks for an operation on the session's own user. A bearer's shard is in its slot, a cookie's is its tenant's; a bearer
/// that does not live gives way to the cookie.
pub async fn with_own_credentials<T, F>(
    app: &App,
    credentials: &Credentials,
    tenant: Option<&PublicKey>,
    ask: impl Fn(u32, Credential) -> F,
) -> Result<T, Rejection>
where
    F: Future<Output = Result<T, Rejection>>,
{
    let map = app.cluster.map().await?;
    if let Some(bearer) = credentials.bearer {
        match ask(map.shard_of_slot(bearer.slot), bearer.wire()).await {
            Err(rejection) if is_dead(rejection.code()) => {}
            answer => return answer,
        }
    }
    match (tenant, credentials.cookie) {
        (Some(tenant), Some(cookie)) => ask(map.shard_of_user(tenant), cookie_wire(cookie)).await,
        _ => Err(ErrorCode::NoSession.into()),
    }
}

/// Asks the tenant's shard for an operation. The same RPC asks whether the credential lives: the bearer first, and the
/// cookie if the shard knows no such bearer. A live bearer of a user in another shard cannot be the tenant's own. `ask`
/// sends to the shard it is given; `anonymous` is the refusal when no credential lives.
pub async fn with_credentials<T, F>(
    app: &App,
    call: &Call,
    credentials: &Credentials,
    tenant: &PublicKey,
    anonymous: ErrorCode,
    ask: impl Fn(u32, Credential) -> F,
) -> Result<T, Rejection>
where
    F: Future<Output = Result<T, Rejection>>,
{
    if let Some(bearer) = credentials.bearer {
        let map = app.cluster.map().await?;
        let shard = map.shard_of_user(tenant);
        if map.shard_of_slot(bearer.slot) == shard {
            match ask(shard, bearer.wire()).await {
                Err(rejection) if is_dead(rejection.code()) => {}
                answer => return answer,
            }
        } else if by_bearer(app, call, bearer).await?.is_some() {
            return Err(ErrorCode::TenantMismatch.into());
        }
    }
    match credentials.cookie {
        Some(cookie) => ask(app.cluster.shard_of_user(tenant).await?, cookie_wire(cookie)).await,
        None => Err(anonymous.into()),
    }
}
