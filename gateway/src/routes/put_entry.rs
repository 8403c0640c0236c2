//! PUT of a file. Without a credential it is refused unread. A body that fits in the log is read here and sent to the
//! shard in one RPC. The shard decides everything else. Larger bodies go through `put_object.rs`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::header::ETAG;
use http::{HeaderValue, StatusCode};
use rowhouse_proto::ErrorCode;

use super::entry_change::{Content, EntryChange};
use super::keep_lock::kept;
use super::put_object::put_object;
use crate::app::App;
use crate::body::{Received, read_inline};
use crate::cluster::Call;
use crate::etag::etag;
use crate::respond::{Rejection, empty, with_header};

/// `PUT` of a file.
pub async fn put_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (change, call, body) = EntryChange::of(&app, request, ErrorCode::NoSession).await?;
    let hash = store(&change, call, body).await?;
    let tag = HeaderValue::try_from(etag(&hash)).map_err(|_| ErrorCode::Internal)?;
    Ok(with_header(empty(StatusCode::CREATED), ETAG, tag))
}

/// Stores a body as the file that the change names, and answers its hash.
pub async fn store(change: &EntryChange<'_>, mut call: Call, body: Body) -> Result<Bytes, Rejection> {
    let app = change.app;
    if change.body_held_back {
        // A client that asks first is answered first. Most ask for large bodies only, so the body is treated as one.
        return put_object(change, &call, Vec::new(), body).await;
    }
    let mut lease = app.cluster.admission().bytes();
    let reading = read_inline(body, change.declared, &mut lease, app.limits.body_timeout_s);
    let received = kept(change, &call, reading).await?;
    // A slow upload does not use up the time the cluster has.
    call.restart(app.limits.retry_timeout_s);
    match received {
        Received::Inline(bytes) => {
            let (length, hash) = (bytes.len(), Bytes::copy_from_slice(blake3::hash(&bytes).as_bytes()));
            let pace = change.put(&call, Content::Inline(bytes)).await?;
            // It was read faster than it may be: the answer waits, and holds no room meanwhile.
            drop(lease);
            if let Some(pace) = pace {
                pace.pay(length).await;
            }
            Ok(hash)
        }
        Received::Large { head, rest } => {
            // Chunks have room of their own; small bodies want this.
            drop(lease);
            put_object(change, &call, head, rest).await
        }
    }
}
