//! Doors for the fuzz targets in fuzz/. They exist with `--cfg fuzzing` alone, which cargo-fuzz sets.

use http::{HeaderMap, HeaderValue, Request};
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::Refusal;
use rowhouse_proto::domain::secret::CookieSecret;
use rowhouse_proto::wire::shard::Entry;

pub use crate::conditions::{conditions, format_token, unlock_token};
use crate::cookie::{self, RequestHost};
pub use crate::credentials::Credentials;
pub use crate::feed::{StreamParams, old_cursor};
pub use crate::layers::{Target, decode_path, reads_private};
pub use crate::locks::is_exclusive_write;
pub use crate::routes::ListParams;
pub use crate::routes::range::Wanted;
use crate::{dav, layers, routes};

/// Whose AuthToken this is.
pub fn user_of(auth_token: &[u8]) -> Result<PublicKey, Refusal> {
    routes::user_of_auth_token(auth_token)
}

/// The credentials among a request's headers.
pub fn credentials(headers: &HeaderMap, tenant: Option<&PublicKey>) -> Credentials {
    Credentials::of(headers, tenant)
}

/// The cookie of a new session for a request with these headers.
pub fn session_cookie(headers: &HeaderMap, user: &PublicKey) -> Option<HeaderValue> {
    cookie::session_cookie(user, &CookieSecret::generate(), &RequestHost::of(headers).ok()?)
}

/// The user, and perhaps the path, that a request is about.
pub fn target(request: &Request<()>) -> Result<Option<Target>, Refusal> {
    layers::resolve(request)
}

/// The part of a file of this length that a `Range` header asks for.
pub fn wanted(range: &str, length: u64) -> Wanted {
    routes::range::wanted(range, length)
}

/// The website's file that a request asks for; `None` if it asks for none.
pub fn website_file(request: &Request<()>, homeserver: &PublicKey) -> Option<StoragePath> {
    layers::WebsiteHosts::new(true, homeserver).find(request).ok().flatten().map(|site| site.file)
}

/// The multistatus that answers a PROPFIND with this body about a file of this name; `None` if the body is refused.
pub fn multistatus_of(propfind: &[u8], name: &str) -> Option<String> {
    let wanted = dav::Wanted::of(&dav::elements(propfind).ok()?).ok()?;
    let file = Some(Entry { content_type: name.to_owned(), ..Entry::default() });
    let href = crate::escape::url_path(&format!("/dav/user/pub/{name}"));
    Some(dav::document(&dav::Resource { href, name: name.to_owned(), file, quota: None }, &wanted))
}

/// Depth, namespace and local name of each element; `None` if it is no document or too large.
pub fn xml_elements(document: &[u8]) -> Option<Vec<(usize, String, String)>> {
    let elements = dav::elements(document).ok()?;
    Some(elements.into_iter().map(|(depth, name)| (depth, name.namespace, name.local)).collect())
}

/// The user and path below `/dav` that a URL is about; `None` for the roots, and for a URL that names nothing.
pub fn dav_member(uri: &http::Uri) -> Option<(PublicKey, pubky_common::storage_path::StoragePath)> {
    dav::Place::of(uri).ok()?.into_member().ok()
}
