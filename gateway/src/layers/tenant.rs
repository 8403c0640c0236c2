//! Whose data a request is about: from the path below `/storage/`, elsewhere from the Host,
//! `pubky-host` header or query (docs/rules/protocol.md#whose-storage-is-meant). Refuses malformed `/storage/` paths whatever the
//! method and whoever asks; a request without a tenant passes.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use percent_encoding::percent_decode_str;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::{ErrorCode, Refusal};

use super::known_keys::{self, KEY_CHARS};
use crate::respond::Rejection;

const STORAGE: &str = "/storage";
const PUBKY_HOST: &str = "pubky-host";

/// The user, and perhaps the path, that a request is about; among its extensions.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    pub user: PublicKey,
    /// Below `/storage/` only.
    pub path: Option<StoragePath>,
}

/// Puts the request's `Target`, if there is one, among its extensions.
pub async fn tenant(mut request: Request, next: Next) -> Response {
    match resolve(&request) {
        Ok(target) => {
            if let Some(target) = target {
                request.extensions_mut().insert(target);
            }
            next.run(request).await
        }
        Err(refusal) => Rejection::from(refusal).into_response(),
    }
}

/// The target of a request. Fails if a path below `/storage/` is malformed.
pub fn resolve<B>(request: &http::Request<B>) -> Result<Option<Target>, Refusal> {
    if let Some(rest) = request.uri().path().strip_prefix(STORAGE)
        && (rest.is_empty() || rest.starts_with('/'))
    {
        return from_path(rest).map(Some);
    }
    let user = from_headers(request.headers()).or_else(|| from_query(request.uri().query()?));
    Ok(user.map(|user| Target { user, path: None }))
}

/// `rest`: what follows `/storage`.
fn from_path(rest: &str) -> Result<Target, Refusal> {
    let rest = rest.strip_prefix('/').unwrap_or_default();
    if rest.is_empty() {
        return Err(ErrorCode::MissingStorageOwnerOrPath.into());
    }
    let (owner, path) = rest.split_once('/').ok_or(ErrorCode::MissingStoragePath)?;
    if path.is_empty() {
        return Err(ErrorCode::MissingStoragePath.into());
    }
    if owner.len() != KEY_CHARS {
        return Err(ErrorCode::InvalidStorageOwner.into());
    }
    let user = known_keys::parse_key(owner).ok_or(ErrorCode::InvalidStorageOwner)?;
    Ok(Target { user, path: Some(decode_path(path)?) })
}

/// A percent-encoded path without its first slash, decoded once and normalised.
pub fn decode_path(path: &str) -> Result<StoragePath, Refusal> {
    let decoded = percent_decode_str(path).decode_utf8().map_err(|_| ErrorCode::StoragePathNotUtf8)?;
    StoragePath::normalize(&format!("/{decoded}")).map_err(|error| {
        Refusal::new(ErrorCode::InvalidStoragePath, format!("Invalid storage path: {error}"))
    })
}

/// A later header overrides an earlier one; one that does not parse changes nothing.
fn from_headers(headers: &HeaderMap) -> Option<PublicKey> {
    let key_in = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).and_then(parse_key);
    key_in(PUBKY_HOST).or_else(|| key_in("host"))
}

/// The first pair that holds a key; not percent-decoded.
fn from_query(query: &str) -> Option<PublicKey> {
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .filter(|(name, _)| *name == PUBKY_HOST)
        .find_map(|(_, value)| parse_key(value))
}

fn parse_key(text: &str) -> Option<PublicKey> {
    // Shorter names, `localhost` and addresses foremost, cannot hold a key.
    if text.len() < KEY_CHARS || PublicKey::is_pubky_prefixed(text) {
        return None;
    }
    known_keys::parse_key(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn key() -> PublicKey {
        Keypair::random().public_key()
    }

    fn refused(path: &str) -> String {
        let request = http::Request::builder().uri(path).body(()).expect("uri");
        resolve(&request).expect_err(path).text().to_owned()
    }

    fn tenant_of(uri: &str, headers: &[(&str, &str)]) -> Option<PublicKey> {
        let mut builder = http::Request::builder().uri(uri);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        resolve(&builder.body(()).expect("request")).expect("no refusal").map(|target| target.user)
    }

    #[test]
    fn storage_paths_name_their_owner_and_ignore_the_rest() {
        let (owner, other) = (key(), key());
        let request = http::Request::builder()
            .uri(format!("/storage/{}/pub/a%20b/../c%2Fd?pubky-host={}", owner.z32(), other.z32()))
            .header("host", other.z32())
            .header("pubky-host", other.z32())
            .body(())
            .expect("request");
        let target = resolve(&request).expect("valid").expect("tenant");
        assert_eq!(target.user, owner);
        assert_eq!(target.path.expect("path").as_str(), "/pub/c/d");
    }

    #[test]
    fn malformed_storage_paths_are_refused_with_their_own_texts() {
        let owner = key().z32();
        for path in ["/storage", "/storage/", "/storage?x=1"] {
            assert_eq!(refused(path), "Missing storage owner or path", "{path}");
        }
        for path in [format!("/storage/{owner}"), format!("/storage/{owner}/"), "/storage/x".into()] {
            assert_eq!(refused(&path), "Missing storage path", "{path}");
        }
        for owner in [format!("pubky{owner}"), "short".into(), "0".repeat(52), format!("x.{owner}")] {
            assert_eq!(refused(&format!("/storage/{owner}/pub/x")), "Invalid storage owner public key");
        }
        assert_eq!(refused(&format!("/storage/{owner}/pub/%ff")), "Storage path is not valid UTF-8");
        let traversal = refused(&format!("/storage/{owner}/../x"));
        assert!(traversal.starts_with("Invalid storage path: "), "{traversal}");
        let blank = refused(&format!("/storage/{owner}/pub/x%20"));
        assert!(blank.starts_with("Invalid storage path: "), "{blank}");
        assert_eq!(tenant_of("/storagefoo", &[]), None, "another path");
    }

    #[test]
    fn legacy_tenants_follow_host_then_pubky_host_then_query() {
        let (first, second) = (key(), key());
        let (a, b) = (first.z32(), second.z32());
        let both = tenant_of("/pub/x", &[("host", &a), ("pubky-host", &b)]);
        assert_eq!(both, Some(second.clone()));
        assert_eq!(tenant_of("/pub/x", &[("host", &a), ("pubky-host", "junk")]), Some(first.clone()));
        let prefixed = format!("pubky{b}");
        assert_eq!(tenant_of("/pub/x", &[("host", &a), ("pubky-host", &prefixed)]), Some(first.clone()));
        assert_eq!(tenant_of("/pub/x", &[("host", &format!("_pubky.{a}"))]), Some(first.clone()));
        assert_eq!(tenant_of("/pub/x", &[("host", &format!("{a}."))]), Some(first.clone()));
        assert_eq!(tenant_of("/pub/x", &[("host", &format!("{a}:6287"))]), None);
        assert_eq!(tenant_of("/pub/x", &[("host", "localhost:6286")]), None);
        let query = format!("/pub/x?a=b&pubky-host=junk&pubky-host={b}");
        assert_eq!(tenant_of(&query, &[("host", "localhost")]), Some(second));
        assert_eq!(tenant_of(&query, &[("host", &a)]), Some(first));
    }
}
