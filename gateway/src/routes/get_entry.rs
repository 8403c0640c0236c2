//! GET and HEAD of a file; a GET of a directory lists it. Public reads carry no credential to the
//! shard: it would not change the answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use pubky_common::constants::storage::{PRIVATE_ROOT, PUBLIC_ROOT};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Credential, Entry, ReadEntry, query_reply, query_request};

use super::entry_response::{EntryResponse, head_response};
use super::entry_target::EntryTarget;
use super::list_entries::list_entries;
use super::list_params::ListParams;
use crate::app::App;
use crate::cluster::Call;
use crate::credentials::Credentials;
use crate::leased::leased;
use crate::objects::{Source, download};
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
    if entry.object.is_empty() {
        get_inline(&app, entry, &parts.headers, target.legacy)
    } else {
        get_object(&app, &target, entry, &parts.headers).await
    }
}

fn get_inline(app: &App, entry: Entry, request: &HeaderMap, legacy: bool) -> Result<Response, Rejection> {
    let mut lease = app.cluster.admission().bytes();
    lease.grow(entry.body.len())?;
    let response = EntryResponse::get(&entry, entry.body.len() as u64, request, legacy)?;
    // Within a body that is here, so within a usize.
    let (start, end) = (response.span.start as usize, response.span.end as usize);
    Ok(response.with(Body::from(leased(entry.body.slice(start..end), lease))))
}

/// The body comes from the disks of the shard's replicas.
async fn get_object(
    app: &App,
    target: &EntryTarget,
    entry: Entry,
    request: &HeaderMap,
) -> Result<Response, Rejection> {
    let response = EntryResponse::get(&entry, entry.length, request, target.legacy)?;
    if response.span.is_empty() {
        return Ok(response.with(Body::empty()));
    }
    let shard = app.cluster.map().await?.shard_of_user(&target.user);
    let cluster = Arc::clone(&app.cluster);
    let source = Source::new(cluster, shard, entry.object, entry.length, app.limits.body_timeout_s);
    let body = download(source, response.span.clone()).await?;
    Ok(response.with(body))
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
