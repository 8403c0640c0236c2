//! A change of one entry on its way to the tenant's shard, which decides everything about it. The mirror of
//! `entry_read.rs`.

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::Method;
use http_body::Body as _;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::domain::path::{is_private, is_public};
use rowhouse_proto::wire::entry::Conditions;
use rowhouse_proto::wire::shard::execute_request::Op;
use rowhouse_proto::wire::shard::{Credential, PutEntry, Upload, credential, execute_reply};
use rowhouse_proto::{ErrorCode, Refusal};

use super::entry_target::EntryTarget;
use super::receive;
use crate::app::App;
use crate::body::{declared_length, expects_continue};
use crate::cluster::Call;
use crate::conditions::conditions;
use crate::content_type;
use crate::credentials::Credentials;
use crate::layers::Target;
use crate::limits::Pace;
use crate::respond::Rejection;
use crate::session::{authenticate, with_credentials};

/// A request to change an entry, with everything that its shard must be told but the body.
pub struct EntryChange<'a> {
    pub app: &'a App,
    pub target: EntryTarget,
    /// The Content-Length header, when there was one.
    pub declared: Option<u64>,
    /// The client waits with its body until it is asked for.
    pub body_held_back: bool,
    /// What must hold of the path for it to happen.
    pub conditions: Option<Conditions>,
    author: Author,
}

/// Whose change it is.
enum Author {
    Client {
        credentials: Credentials,
        address: String,
        /// The refusal when no credential lives.
        anonymous: ErrorCode,
    },
    Operator,
}

/// What the operator presents to shards, once the gateway has seen the password.
pub fn operator() -> Credential {
    Credential { kind: Some(credential::Kind::Operator(true)) }
}

/// The bytes of a put.
pub enum Content {
    /// All of them, for the log.
    Inline(Bytes),
    /// An object on the disks of a majority. `opening` is its first bytes, enough to tell its type.
    Object { opening: Bytes, upload: Upload },
}

impl<'a> EntryChange<'a> {
    /// Refuses a request that brings no credential, or names no file. The second refusal is for live sessions only:
    /// without one every other flaw goes unmentioned (docs/rules/protocol.md#order-of-checks), so a malformed request
    /// costs a question to a shard. `anonymous` is the first refusal.
    pub async fn of(
        app: &'a App,
        request: Request,
        anonymous: ErrorCode,
    ) -> Result<(Self, Call, Body), Rejection> {
        let (mut parts, body) = request.into_parts();
        let call = app.call(&parts.extensions);
        let found = parts.extensions.remove::<Target>();
        let tenant = found.as_ref().map(|target| target.user.clone());
        let credentials = Credentials::of(&parts.headers, tenant.as_ref());
        if credentials.is_empty() {
            return Err(anonymous.into());
        }
        let conditions = conditions(&parts.headers);
        let flaw = match (EntryTarget::of(found, &mut parts).await, conditions) {
            (Ok(target), Ok(conditions)) if target.path.is_file() => {
                let (declared, address) = (declared_length(&parts.headers), receive::client_addr(&parts));
                let body_held_back = expects_continue(&parts.headers) && !body.is_end_stream();
                let author = Author::Client { credentials, address, anonymous };
                return Ok((Self { app, target, declared, body_held_back, conditions, author }, call, body));
            }
            (Ok(target), Err(malformed)) if target.path.is_file() => Refusal::from(malformed),
            (Ok(_), _) => Refusal::from(ErrorCode::TargetMustBeFile),
            (Err(refusal), _) => refusal,
        };
        match authenticate(app, &call, &credentials, tenant.as_ref()).await? {
            Some(_) => Err(flaw.into()),
            None => Err(anonymous.into()),
        }
    }

    /// A change by the operator, of a file that the path names.
    pub fn by_operator(
        app: &'a App,
        target: EntryTarget,
        declared: Option<u64>,
        body_held_back: bool,
        conditions: Option<Conditions>,
    ) -> Self {
        Self { app, target, declared, body_held_back, conditions, author: Author::Operator }
    }

    /// Whether it presents the lock that it needs, which must live until the end.
    pub fn holds_lock(&self) -> bool {
        self.conditions.as_ref().is_some_and(|conditions| conditions.held.is_some())
    }

    /// Stores the content under the path. Its type is told here, by its first bytes and the path.
    ///
    /// Returns the pace of the body, which was not paid for yet.
    pub async fn put(&self, call: &Call, content: Content) -> Result<Option<Pace>, Rejection> {
        let (opening, body, upload) = match content {
            Content::Inline(body) => (body.clone(), body, None),
            Content::Object { opening, upload } => (opening, Bytes::new(), Some(upload)),
        };
        let path = self.target.path.as_str();
        let put = PutEntry {
            credential: None,
            tenant: self.target.tenant_bytes(),
            path: path.to_owned(),
            content_type: content_type::detect(&opening, path).to_owned(),
            body,
            content_length: self.declared,
            upload,
            conditions: self.conditions.clone(),
        };
        let op = if put.conditions.is_some() { Op::PutEntryIf } else { Op::PutEntry };
        let with = |credential| PutEntry { credential: Some(credential), ..put.clone() };
        Ok(self.ask(call, |credential| op(with(credential))).await?.1)
    }

    /// One RPC to the tenant's shard for each credential until one lives; and the pace of a body that its user sends.
    pub async fn ask(
        &self,
        call: &Call,
        op: impl Fn(Credential) -> Op,
    ) -> Result<(execute_reply::Result, Option<Pace>), Rejection> {
        let Self { app, target, author, .. } = self;
        let (credentials, address, anonymous) = match author {
            Author::Client { credentials, address, anonymous } => (credentials, address, *anonymous),
            Author::Operator => {
                let shard = app.cluster.shard_of_user(&target.user).await?;
                return Ok((app.cluster.execute(call, shard, String::new(), op(operator())).await?, None));
            }
        };
        with_credentials(app, call, credentials, &target.user, anonymous, |shard, credential| {
            app.cluster.execute_paced(call, shard, address.clone(), op(credential))
        })
        .await
        .map(|told| {
            let pace = told.bandwidth.and_then(|told| Pace::of_user(&app.cluster, told, &Method::PUT));
            (told.result, pace)
        })
        .map_err(|rejection| outside_first(rejection, &target.path))
    }
}

/// A path outside both roots is refused before a foreign session is (docs/rules/protocol.md#capabilities).
fn outside_first(rejection: Rejection, path: &StoragePath) -> Rejection {
    if rejection.code() == ErrorCode::TenantMismatch && !is_public(path) && !is_private(path) {
        return ErrorCode::WriteOutsideRoots.into();
    }
    rejection
}
