//! LOCK and UNLOCK of a path (docs/rules/protocol.md#locks).

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::{Method, StatusCode};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::entry::LockTokens;
use rowhouse_proto::wire::shard::{LockEntry, RefreshLock, UnlockEntry, execute_reply, execute_request};
use uuid::Uuid;

use super::entry_change::EntryChange;
use crate::app::App;
use crate::cluster::Call;
use crate::conditions::unlock_token;
use crate::locks::{check_lock_info, lock_response, requested_timeout_s};
use crate::respond::{Rejection, empty, method_not_allowed};

/// The methods of an entry that HTTP itself does not have, and the refusal of all others.
pub async fn lock_or_unlock(
    State(app): State<Arc<App>>,
    method: Method,
    request: Request,
) -> Result<Response, Rejection> {
    match method.as_str() {
        "LOCK" => lock_entry(&app, request).await,
        "UNLOCK" => unlock_entry(&app, request).await,
        _ => Ok(method_not_allowed("GET, HEAD, PUT, DELETE, LOCK, UNLOCK")),
    }
}

/// `LOCK`: a new lock, or more time for the one whose token `If` presents.
async fn lock_entry(app: &App, request: Request) -> Result<Response, Rejection> {
    let root = request.uri().path().to_owned();
    let most = u32::try_from(app.limits.lock_timeout_s.as_secs()).unwrap_or(u32::MAX);
    let timeout_s = requested_timeout_s(request.headers(), most);
    let (change, mut call, body) = EntryChange::of(app, request, ErrorCode::Unauthorized).await?;
    if let Some(held) = change.conditions.as_ref().and_then(|conditions| conditions.held.clone()) {
        let token = refresh(&change, &call, held, timeout_s).await?;
        return Ok(lock_response(&token, &root, timeout_s, false)?);
    }
    let flaw = check_lock_info(body, app.limits.body_timeout_s).await.err();
    call.restart(app.limits.retry_timeout_s);
    let token = Bytes::copy_from_slice(Uuid::new_v4().as_bytes());
    take(&change, &call, &token, timeout_s, flaw).await?;
    Ok(lock_response(&token, &root, timeout_s, true)?)
}

/// The token that holds the lock.
async fn refresh(
    change: &EntryChange<'_>,
    call: &Call,
    held: LockTokens,
    timeout_s: u32,
) -> Result<Bytes, Rejection> {
    let (result, _) = change
        .ask(call, |credential| {
            execute_request::Op::RefreshLock(RefreshLock {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                held: Some(held.clone()),
                timeout_s,
                extend: false,
            })
        })
        .await?;
    match result {
        execute_reply::Result::LockRefreshed(refreshed) => Ok(refreshed.token),
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// Takes the lock, or has its author judged and the flaw refused.
async fn take(
    change: &EntryChange<'_>,
    call: &Call,
    token: &Bytes,
    timeout_s: u32,
    flaw: Option<ErrorCode>,
) -> Result<(), Rejection> {
    let token = if flaw.is_some() { Bytes::new() } else { token.clone() };
    change
        .ask(call, |credential| {
            execute_request::Op::LockEntry(LockEntry {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                token: token.clone(),
                timeout_s,
                flaw: flaw.map_or(0, ErrorCode::number),
            })
        })
        .await
        .map(drop)
}

/// `UNLOCK`: 204.
async fn unlock_entry(app: &App, request: Request) -> Result<Response, Rejection> {
    let named = unlock_token(request.headers());
    let (change, call, _body) = EntryChange::of(app, request, ErrorCode::Unauthorized).await?;
    let (token, flaw) = match named {
        None => (Bytes::new(), ErrorCode::InvalidLockToken.number()),
        Some(token) if token.is_empty() => (token, ErrorCode::NoSuchLock.number()),
        Some(token) => (token, 0),
    };
    change
        .ask(&call, |credential| {
            execute_request::Op::UnlockEntry(UnlockEntry {
                credential: Some(credential),
                tenant: change.target.tenant_bytes(),
                path: change.target.path.as_str().to_owned(),
                token: token.clone(),
                flaw,
            })
        })
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
