//! PUT of a file: without a credential refused unread; else the body is read, up to what the log takes,
//! and everything else is the shard's to decide, in one RPC. Larger bodies go another way.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use rowhouse_proto::wire::shard::{PutEntry, Upload, execute_request};

use super::entry_change::EntryChange;
use super::put_object::put_object;
use crate::app::App;
use crate::body::{self, read_upload};
use crate::cluster::Call;
use crate::content_type;
use crate::respond::{Rejection, empty};

pub async fn put_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (change, mut call, body) = EntryChange::of(&app, request).await?;
    if change.body_held_back {
        // Whoever asks first is answered first. Most clients ask it for large bodies only, so this becomes one.
        put_object(&change, &call, Vec::new(), body).await?;
        return Ok(empty(StatusCode::CREATED));
    }
    let mut lease = app.cluster.admission().bytes();
    let upload = read_upload(body, change.declared, &mut lease, app.limits.body_timeout_s).await?;
    // A slow upload does not use up the time the cluster has.
    call.restart(app.limits.retry_timeout_s);
    match upload {
        body::Upload::Inline(bytes) => put_inline(&change, &call, bytes).await?,
        body::Upload::Large { head, rest } => {
            // Chunks have room of their own; small bodies want this.
            drop(lease);
            put_object(&change, &call, head, rest).await?;
        }
    }
    Ok(empty(StatusCode::CREATED))
}

async fn put_inline(change: &EntryChange<'_>, call: &Call, body: Bytes) -> Result<(), Rejection> {
    let put = PutEntry { body: body.clone(), ..put_op(change, &body, None) };
    change
        .ask(call, |credential| {
            execute_request::Op::PutEntry(PutEntry { credential: Some(credential), ..put.clone() })
        })
        .await?;
    Ok(())
}

/// A put without its credential and inline body; `opening` is the body's first bytes.
pub fn put_op(change: &EntryChange<'_>, opening: &[u8], upload: Option<Upload>) -> PutEntry {
    let path = change.target.path.as_str();
    PutEntry {
        credential: None,
        tenant: change.target.tenant_bytes(),
        path: path.to_owned(),
        content_type: content_type::detect(opening, path).to_owned(),
        body: Bytes::new(),
        content_length: change.declared,
        upload,
    }
}
