//! Which entry a storage request is about, in either addressing.

use axum::extract::{FromRequestParts, Path};
use bytes::Bytes;
use http::request::Parts;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};
use serde::Deserialize;

use crate::layers::Target;

/// One entry of one user. Its path is normalised, and may still name a directory or lie outside both roots.
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
    /// Takes over what the tenant layer has found, and adds the path where only the route knows it. Refuses
    /// a request without a tenant, and a path that cannot be normalised.
    pub async fn of(found: Option<Target>, parts: &mut Parts) -> Result<Self, Refusal> {
        let Target { user, path } = found.ok_or(ErrorCode::MissingTenant)?;
        if let Some(path) = path {
            return Ok(Self { user, path, legacy: false });
        }
        let Path(LegacyPath(path)) = Path::from_request_parts(parts, &())
            .await
            .map_err(|refused| Refusal::new(ErrorCode::InvalidStoragePath, refused.body_text()))?;
        Ok(Self { user, path, legacy: true })
    }

    /// The user's 32 bytes as they stand in commands and queries.
    pub fn tenant_bytes(&self) -> Bytes {
        Bytes::copy_from_slice(self.user.as_bytes())
    }
}
