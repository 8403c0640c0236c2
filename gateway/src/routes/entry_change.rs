//! A change of one entry on its way to the tenant's shard, which decides everything about it.

use axum::body::Body;
use axum::extract::Request;
use http_body::Body as _;
use pubky_common::constants::storage::{PRIVATE_ROOT, PUBLIC_ROOT};
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Credential, execute_reply, execute_request};

use super::entry_target::EntryTarget;
use super::receive;
use crate::app::App;
use crate::body::{declared_length, expects_continue};
use crate::cluster::Call;
use crate::credentials::Credentials;
use crate::respond::Rejection;
use crate::session::with_credentials;

/// What a request to change an entry says, but for its body.
pub struct EntryChange<'a> {
    pub app: &'a App,
    pub target: EntryTarget,
    /// The Content-Length header, when there was one.
    pub declared: Option<u64>,
    /// The client waits with its body until it is asked for.
    pub body_held_back: bool,
    credentials: Credentials,
    address: String,
}

impl<'a> EntryChange<'a> {
    pub async fn of(app: &'a App, request: Request) -> Result<(Self, Call, Body), Rejection> {
        let (mut parts, body) = request.into_parts();
        let call = app.call(&parts.extensions);
        let (target, credentials) = EntryTarget::writable(app, &call, &mut parts).await?;
        let (declared, address) = (declared_length(&parts.headers), receive::client_addr(&parts));
        let body_held_back = expects_continue(&parts.headers) && !body.is_end_stream();
        Ok((Self { app, target, declared, body_held_back, credentials, address }, call, body))
    }

    /// One RPC to the tenant's shard for each credential until one lives.
    pub async fn ask(
        &self,
        call: &Call,
        op: impl Fn(Credential) -> execute_request::Op,
    ) -> Result<execute_reply::Result, Rejection> {
        let Self { app, target, credentials, address, .. } = self;
        with_credentials(app, call, credentials, &target.user, ErrorCode::NoSession, |credential| {
            app.execute_user(call, &target.user, address.clone(), op(credential))
        })
        .await
        .map_err(|rejection| outside_first(rejection, &target.path))
    }
}

/// A path outside both roots is refused before a foreign session is (docs/rules/protocol.md#capabilities).
fn outside_first(rejection: Rejection, path: &StoragePath) -> Rejection {
    let inside = path.as_str().starts_with(PUBLIC_ROOT) || path.as_str().starts_with(PRIVATE_ROOT);
    if rejection.code() == ErrorCode::TenantMismatch && !inside {
        return ErrorCode::WriteOutsideRoots.into();
    }
    rejection
}
