//! GET and HEAD of a file; a GET of a directory lists it.

use std::ops::Range;
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
use crate::limits::{Pace, paced};
use crate::objects::{Source, download};
use crate::respond::Rejection;

/// `GET` of a path: its file, or the listing of its directory.
pub async fn get_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let read = EntryRead::of(&app, request).await?;
    let params = ListParams::of(read.uri())?;
    if read.target.path.is_directory() {
        return list_entries(&read, params).await;
    }
    get_file(&read).await
}

/// The file as its request wants it: whole, a part, or nothing if it is not modified.
pub async fn get_file(read: &EntryRead<'_>) -> Result<Response, Rejection> {
    let (entry, pace) = entry_of(read, Asked::default()).await?;
    let response = EntryResponse::get(&entry, length_of(&entry), read.headers(), read.target.legacy)?;
    let body = body_of(read, entry, response.span.clone(), pace).await?;
    Ok(response.with(body))
}

/// Bytes of the file.
pub(super) fn length_of(entry: &Entry) -> u64 {
    if entry.object.is_empty() { entry.body.len() as u64 } else { entry.length }
}

/// These bytes of the file, as a body at this pace.
pub(super) async fn body_of(
    read: &EntryRead<'_>,
    entry: Entry,
    span: Range<u64>,
    pace: Option<Pace>,
) -> Result<Body, Rejection> {
    if span.is_empty() {
        return Ok(Body::empty());
    }
    let body = part_of(read, entry, span, pace.is_some()).await?;
    Ok(paced(pace, body))
}

/// The whole file, whatever its request says, and its length. For the operator, who has no rate.
pub async fn whole_file(read: &EntryRead<'_>) -> Result<(Body, u64), Rejection> {
    let (entry, _) = entry_of(read, Asked::default()).await?;
    let length = entry.length;
    Ok((part_of(read, entry, 0..length, false).await?, length))
}

/// `HEAD` of a file.
pub async fn head_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let read = EntryRead::of(&app, request).await?;
    head_file(&read).await
}

/// The file's headers.
pub async fn head_file(read: &EntryRead<'_>) -> Result<Response, Rejection> {
    let (entry, _) = entry_of(read, Asked { head: true, ..Asked::default() }).await?;
    Ok(head_response(&entry, read.target.legacy)?)
}

/// The parts of a question for an entry that differ.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked {
    /// The shard leaves the body out.
    pub head: bool,
    /// The shard refuses a disabled user.
    pub of_enabled: bool,
}

/// The entry as its shard has it, and the pace at which its body may be read.
pub(super) async fn entry_of(
    read: &EntryRead<'_>,
    Asked { head, of_enabled }: Asked,
) -> Result<(Entry, Option<Pace>), Rejection> {
    let (result, pace) = read
        .ask(|credential| {
            query_request::Op::ReadEntry(ReadEntry {
                credential,
                tenant: read.target.tenant_bytes(),
                path: read.target.path.as_str().to_owned(),
                head,
                of_enabled,
            })
        })
        .await?;
    match result {
        query_reply::Result::Entry(entry) => Ok((entry, pace)),
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// A part of the file's body; not empty if the body lies in chunks. `at_a_pace`: it will be taken slowly.
async fn part_of(
    read: &EntryRead<'_>,
    entry: Entry,
    span: Range<u64>,
    at_a_pace: bool,
) -> Result<Body, Rejection> {
    let EntryRead { app, target, .. } = read;
    if entry.object.is_empty() {
        let mut lease = app.cluster.admission().bytes();
        lease.grow(entry.body.len())?;
        let all = entry.body.len();
        // Within a body that is here, so within a usize.
        let (start, end) = ((span.start as usize).min(all), (span.end as usize).min(all));
        return Ok(Body::from(leased(entry.body.slice(start..end), lease)));
    }
    // From the disks of the shard's replicas.
    let shard = app.cluster.shard_of_user(&target.user).await?;
    let cluster = Arc::clone(&app.cluster);
    let source = Source::new(cluster, shard, entry.object, entry.length, app.limits.body_timeout_s);
    Ok(download(source, span, at_a_pace).await?)
}
