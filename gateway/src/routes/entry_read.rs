//! A read of one entry on its way to the tenant's shard. Public reads are asked for without a credential,
//! which would not change the answer; it goes along for the reader's rates alone. The mirror of `entry_change.rs`.

use axum::extract::Request;
use http::HeaderMap;
use http::request::Parts;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::{is_private, is_public};
use rowhouse_proto::wire::shard::{Bandwidth, Credential, query_reply, query_request};

use super::entry_change::operator;
use super::entry_target::EntryTarget;
use super::receive::ClientAddr;
use crate::app::App;
use crate::cluster::Call;
use crate::credentials::{BearerHash, Credentials, cookie_wire};
use crate::layers::Target;
use crate::limits::Pace;
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

    /// A read of a website's file. Credentials do not matter to it, but for the reader's rates.
    pub fn of_website(app: &'a App, target: EntryTarget, parts: Parts) -> Self {
        let call = app.call(&parts.extensions);
        let credentials = Some(Credentials::of(&parts.headers, Some(&target.user)));
        Self { app, target, parts, call, credentials }
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

    /// One RPC to the tenant's shard, and the pace of what it answers: without a credential for a public path, with each in turn until one
    /// lives for a private path.
    pub async fn ask(
        &self,
        op: impl Fn(Option<Credential>) -> query_request::Op,
    ) -> Result<(query_reply::Result, Option<Pace>), Rejection> {
        let Self { app, target, call, credentials, .. } = self;
        let cluster = &app.cluster;
        let Some(credentials) = credentials else {
            let shard = cluster.shard_of_user(&target.user).await?;
            return Ok((cluster.query(call, shard, op(Some(operator()))).await?, None));
        };
        if is_public(&target.path) {
            let map = cluster.map().await?;
            let shard = map.shard_of_user(&target.user);
            // A bearer of another shard's user is not known there, and counts as none.
            let bearer = credentials.bearer.filter(|bearer| map.shard_of_slot(bearer.slot) == shard);
            let reader = bearer.map(BearerHash::wire).or_else(|| credentials.cookie.map(cookie_wire));
            let told = cluster.query_paced(call, shard, reader, op(None)).await?;
            return Ok((told.result, self.pace(told.bandwidth, false)));
        }
        if !is_private(&target.path) {
            return Err(ErrorCode::ReadOutsideRoots.into());
        }
        let told = with_credentials(
            app,
            call,
            credentials,
            &target.user,
            ErrorCode::ReadNeedsAuth,
            |shard, credential| cluster.query_paced(call, shard, None, op(Some(credential))),
        )
        .await?;
        Ok((told.result, self.pace(told.bandwidth, true)))
    }

    /// The pace of the answer: that of the session's user, or of the address where no session is known.
    fn pace(&self, told: Option<Bandwidth>, has_session: bool) -> Option<Pace> {
        let Self { app, parts, .. } = self;
        match told {
            Some(told) => Pace::of_user(&app.cluster, told, &parts.method),
            None if has_session => None,
            None => {
                let address = parts.extensions.get::<ClientAddr>()?.0;
                Some(Pace::of_address(&app.cluster, app.address_rate?, address))
            }
        }
    }
}
