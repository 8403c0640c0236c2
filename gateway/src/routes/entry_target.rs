//! Which entry a storage request is about, in either addressing.

use axum::extract::{FromRequestParts, Path};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::Method;
use http::request::Parts;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};
use serde::Deserialize;

use crate::app::App;
use crate::cluster::Call;
use crate::credentials::Credentials;
use crate::layers::Target;
use crate::not_implemented::{STORAGE_METHODS, not_implemented};
use crate::respond::{Rejection, method_not_allowed};
use crate::session;

#[derive(Debug)]
pub struct EntryTarget {
    pub user: PublicKey,
    pub path: StoragePath,
    /// Addressed by Host and path instead of by `/storage/`.
    pub legacy: bool,
}

/// A path as axum decoded it; its own refusal texts are the ones clients of this route know.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct LegacyPath(StoragePath);

impl TryFrom<String> for LegacyPath {
    type Error = pubky_common::storage_path::StoragePathError;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        StoragePath::normalize(&format!("/{path}")).map(Self)
    }
}

impl EntryTarget {
    pub async fn of(parts: &mut Parts) -> Result<Self, Refusal> {
        let Target { user, path } = parts.extensions.remove::<Target>().ok_or(ErrorCode::MissingTenant)?;
        if let Some(path) = path {
            return Ok(Self { user, path, legacy: false });
        }
        let Path(LegacyPath(path)) = Path::from_request_parts(parts, &())
            .await
            .map_err(|refused| Refusal::new(ErrorCode::InvalidStoragePath, refused.body_text()))?;
        Ok(Self { user, path, legacy: true })
    }

    /// For a change. Without a live session every other flaw of the request goes unmentioned
    /// (docs/rules/protocol.md#order-of-checks), so a malformed one costs a question to a shard.
    pub async fn writable(
        app: &App,
        call: &Call,
        parts: &mut Parts,
    ) -> Result<(Self, Credentials), Rejection> {
        let tenant = parts.extensions.get::<Target>().map(|target| target.user.clone());
        let credentials = Credentials::of(&parts.headers, tenant.as_ref());
        if credentials.is_empty() {
            return Err(ErrorCode::NoSession.into());
        }
        let flaw = match Self::of(parts).await {
            Ok(target) if target.path.is_file() => return Ok((target, credentials)),
            Ok(_) => Refusal::from(ErrorCode::TargetMustBeFile),
            Err(refusal) => refusal,
        };
        match session::authenticate(app, call, &credentials, tenant.as_ref()).await? {
            Some(_) => Err(flaw.into()),
            None => Err(ErrorCode::NoSession.into()),
        }
    }

    pub fn tenant_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.user.as_bytes())
    }
}

/// Locks are not offered yet, so `Allow` does not name them.
pub async fn no_such_storage_method(method: Method) -> Response {
    if STORAGE_METHODS.contains(&method.as_str()) {
        return not_implemented().await.into_response();
    }
    method_not_allowed("GET, HEAD, PUT, DELETE")
}
