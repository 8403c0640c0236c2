//! A read of one entry on its way to the tenant's shard. Public reads carry no credential there: it would not
//! change the answer. The mirror of `entry_change.rs`.

use axum::extract::Request;
use http::HeaderMap;
use http::request::Parts;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::{is_private, is_public};
use rowhouse_proto::wire::shard::{Credential, query_reply, query_request};

use super::entry_change::operator;
use super::entry_target::EntryTarget;
use crate::app::App;
use crate::cluster::Call;
use crate::credentials::Credentials;
use crate::layers::Target;
use crate::respond::Rejection;
use crate::session::with_credentials;

/// A request to read an entry, with everything that its shard must be told.
pub struct EntryRead<'a> {
    pub app: &'a App,
    pub target: EntryTarget,
    parts: Parts,
    call: Call,
    /// `None`: the operator's read.
    credentials: Option<Credentials>,
}

impl<'a> EntryRead<'a> {
    /// Refuses a request that names no entry. Its body is not read.
    pub async fn of(app: &'a App, request: Request) -> Result<Self, Rejection> {
        let (mut parts, _body) = request.into_parts();
        let call = app.call(&parts.extensions);
        let found = parts.extensions.remove::<Target>();
        let target = EntryTarget::of(found, &mut parts).await?;
        let credentials = Some(Credentials::of(&parts.headers, Some(&target.user)));
        Ok(Self { app, target, parts, call, credentials })
    }

    /// A read by the operator, to whom everything is open.
    pub fn by_operator(app: &'a App, target: EntryTarget, parts: Parts, call: Call) -> Self {
        Self { app, target, parts, call, credentials: None }
    }

    /// The request's URI, for its query.
    pub fn uri(&self) -> &http::Uri {
        &self.parts.uri
    }

    /// The request's headers, for its conditions and ranges.
    pub fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// One RPC to the tenant's shard: without a credential for a public path, with each in turn until one
    /// lives for a private path.
    pub async fn ask(
        &self,
        op: impl Fn(Option<Credential>) -> query_request::Op,
    ) -> Result<query_reply::Result, Rejection> {
        let Self { app, target, call, credentials, .. } = self;
        let cluster = &app.cluster;
        let Some(credentials) = credentials else {
            let shard = cluster.shard_of_user(&target.user).await?;
            return cluster.query(call, shard, op(Some(operator()))).await;
        };
        if is_public(&target.path) {
            return cluster.query(call, cluster.shard_of_user(&target.user).await?, op(None)).await;
        }
        if !is_private(&target.path) {
            return Err(ErrorCode::ReadOutsideRoots.into());
        }
        with_credentials(
            app,
            call,
            credentials,
            &target.user,
            ErrorCode::ReadNeedsAuth,
            |shard, credential| cluster.query(call, shard, op(Some(credential))),
        )
        .await
    }
}
