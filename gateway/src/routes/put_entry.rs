//! PUT of a file: without a credential refused unread; else the body is read, up to what the log takes,
//! and everything else is the shard's to decide, in one RPC.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use pubky_common::constants::storage::{PRIVATE_ROOT, PUBLIC_ROOT};
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{PutEntry, execute_request};

use super::entry_target::EntryTarget;
use super::receive;
use crate::app::App;
use crate::body::{Upload, declared_length, drain, read_upload};
use crate::content_type;
use crate::respond::{Rejection, empty};
use crate::session::with_credentials;

pub async fn put_entry(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let (mut parts, body) = request.into_parts();
    let mut call = app.call(&parts.extensions);
    let (target, credentials) = EntryTarget::writable(&app, &call, &mut parts).await?;
    let declared = declared_length(&parts.headers);
    let mut lease = app.cluster.admission().bytes();
    let (body, rest) = match read_upload(body, declared, &mut lease, app.limits.body_timeout).await? {
        Upload::Inline(bytes) => (Some(bytes), Body::empty()),
        Upload::TooLarge(rest) => (None, rest),
    };
    // A slow upload does not use up the time the cluster has.
    call.restart(app.limits.retry_timeout);
    let address = receive::client_addr(&parts);
    let put = put_op(&target, body, declared);
    let outcome =
        with_credentials(&app, &call, &credentials, &target.user, ErrorCode::NoSession, |credential| {
            let op = execute_request::Op::PutEntry(PutEntry { credential: Some(credential), ..put.clone() });
            app.execute_user(&call, &target.user, address.clone(), op)
        })
        .await;
    drain(rest).await;
    outcome.map_err(|rejection| outside_first(rejection, &target.path))?;
    Ok(empty(StatusCode::CREATED))
}

fn put_op(target: &EntryTarget, body: Option<Bytes>, declared: Option<u64>) -> PutEntry {
    let too_large = body.is_none();
    let body = body.unwrap_or_default();
    PutEntry {
        credential: None,
        tenant: target.tenant_bytes(),
        path: target.path.as_str().to_owned(),
        content_type: content_type::detect(&body, target.path.as_str()).to_owned(),
        body,
        content_length: declared,
        too_large,
    }
}

/// A path outside both roots is refused before a foreign session is (client-api.md §2).
pub fn outside_first(rejection: Rejection, path: &StoragePath) -> Rejection {
    let inside = path.as_str().starts_with(PUBLIC_ROOT) || path.as_str().starts_with(PRIVATE_ROOT);
    if rejection.code() == ErrorCode::TenantMismatch && !inside {
        return ErrorCode::WriteOutsideRoots.into();
    }
    rejection
}
