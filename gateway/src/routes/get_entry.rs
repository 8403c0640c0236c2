//! GET and HEAD of a file; a GET of a directory lists it. Public reads carry no credential to the
//! shard: it would not change the answer.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use pubky_common::constants::storage::{PRIVATE_ROOT, PUBLIC_ROOT};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Credential, Entry, ReadEntry, query_reply, query_request};

use super::entry_response::{get_response, head_response};
use super::entry_target::EntryTarget;
use super::list_entries::list_entries;
use super::list_params::ListParams;
use crate::app::App;
use crate::cluster::Call;
use crate::credentials::Credentials;
use crate::respond::Rejection;
use crate::session::with_credentials;

pub async fn get_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let (mut parts, _) = request.into_parts();
    let target = EntryTarget::of(&mut parts).await?;
    let params = ListParams::of(&parts.uri)?;
    if target.path.is_directory() {
        return list_entries(&app, &call, &parts, &target, params).await;
    }
    let credentials = Credentials::of(&parts.headers, Some(&target.user));
    let entry = read(&app, &call, &target, &credentials, false).await?;
    let mut lease = app.cluster.admission().bytes();
    lease.grow(entry.body.len())?;
    Ok(get_response(entry, &parts.headers, target.legacy, lease)?)
}

pub async fn head_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let (mut parts, _) = request.into_parts();
    let target = EntryTarget::of(&mut parts).await?;
    let credentials = Credentials::of(&parts.headers, Some(&target.user));
    let entry = read(&app, &call, &target, &credentials, true).await?;
    Ok(head_response(&entry, target.legacy)?)
}

async fn read(
    app: &App,
    call: &Call,
    target: &EntryTarget,
    credentials: &Credentials,
    head: bool,
) -> Result<Entry, Rejection> {
    let result = read_with(app, call, target, credentials, |credential| {
        query_request::Op::ReadEntry(ReadEntry {
            credential,
            tenant: target.tenant_bytes(),
            path: target.path.as_str().to_owned(),
            head,
        })
    })
    .await?;
    match result {
        query_reply::Result::Entry(entry) => Ok(entry),
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// One RPC to the tenant's shard, with the credential the path asks for.
pub async fn read_with(
    app: &App,
    call: &Call,
    target: &EntryTarget,
    credentials: &Credentials,
    op: impl Fn(Option<Credential>) -> query_request::Op,
) -> Result<query_reply::Result, Rejection> {
    let path = target.path.as_str();
    if path.starts_with(PUBLIC_ROOT) {
        return app.query_user(call, &target.user, op(None)).await;
    }
    if !path.starts_with(PRIVATE_ROOT) {
        return Err(ErrorCode::ReadOutsideRoots.into());
    }
    with_credentials(app, call, credentials, &target.user, ErrorCode::ReadNeedsAuth, |credential| {
        app.query_user(call, &target.user, op(Some(credential)))
    })
    .await
}
