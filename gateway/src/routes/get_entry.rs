//! GET and HEAD of a file; a GET of a directory lists it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Entry, ReadEntry, query_reply, query_request};

use super::entry_read::EntryRead;
use super::entry_response::{EntryResponse, head_response};
use super::list_entries::list_entries;
use super::list_params::ListParams;
use crate::app::App;
use crate::body::leased;
use crate::objects::{Source, download};
use crate::respond::Rejection;

/// `GET` of a path: its file, or the listing of its directory.
pub async fn get_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let read = EntryRead::of(&app, request).await?;
    let params = ListParams::of(read.uri())?;
    if read.target.path.is_directory() {
        return list_entries(&read, params).await;
    }
    let entry = entry_of(&read, false).await?;
    if entry.object.is_empty() { get_inline(&read, entry) } else { get_object(&read, entry).await }
}

/// `HEAD` of a file.
pub async fn head_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let read = EntryRead::of(&app, request).await?;
    let entry = entry_of(&read, true).await?;
    Ok(head_response(&entry, read.target.legacy)?)
}

/// The entry as its shard has it. With `head` the shard leaves the body out.
async fn entry_of(read: &EntryRead<'_>, head: bool) -> Result<Entry, Rejection> {
    let result = read
        .ask(|credential| {
            query_request::Op::ReadEntry(ReadEntry {
                credential,
                tenant: read.target.tenant_bytes(),
                path: read.target.path.as_str().to_owned(),
                head,
            })
        })
        .await?;
    match result {
        query_reply::Result::Entry(entry) => Ok(entry),
        _ => Err(ErrorCode::Internal.into()),
    }
}

fn get_inline(read: &EntryRead<'_>, entry: Entry) -> Result<Response, Rejection> {
    let mut lease = read.app.cluster.admission().bytes();
    lease.grow(entry.body.len())?;
    let length = entry.body.len() as u64;
    let response = EntryResponse::get(&entry, length, read.headers(), read.target.legacy)?;
    // Within a body that is here, so within a usize.
    let (start, end) = (response.span.start as usize, response.span.end as usize);
    Ok(response.with(Body::from(leased(entry.body.slice(start..end), lease))))
}

/// The body comes from the disks of the shard's replicas.
async fn get_object(read: &EntryRead<'_>, entry: Entry) -> Result<Response, Rejection> {
    let EntryRead { app, target, .. } = read;
    let response = EntryResponse::get(&entry, entry.length, read.headers(), target.legacy)?;
    if response.span.is_empty() {
        return Ok(response.with(Body::empty()));
    }
    let shard = app.cluster.shard_of_user(&target.user).await?;
    let cluster = Arc::clone(&app.cluster);
    let source = Source::new(cluster, shard, entry.object, entry.length, app.limits.body_timeout_s);
    let body = download(source, response.span.clone()).await?;
    Ok(response.with(body))
}
