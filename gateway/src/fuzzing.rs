//! Doors for the fuzz targets in fuzz/. They exist with `--cfg fuzzing` alone, which cargo-fuzz sets.

use http::{HeaderMap, HeaderValue, Request};
use pubky_common::crypto::PublicKey;
use rowhouse_proto::Refusal;
use rowhouse_proto::domain::secret::CookieSecret;

use crate::cookie::{self, RequestHost};
pub use crate::credentials::Credentials;
pub use crate::layers::Target;
use crate::{layers, routes};

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
