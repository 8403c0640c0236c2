//! Nothing below `/priv/` may be cached, whatever the status (docs/rules/protocol.md#headers-and-conditions). Decided
//! on the normalised path, so that no spelling of it escapes.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderValue;
use http::header::{CACHE_CONTROL, ETAG, LAST_MODIFIED, VARY};
use percent_encoding::percent_decode_str;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::domain::path::{is_below_private, is_private};

use super::Target;
use crate::respond::NO_STORE;

const VARY_LEGACY: HeaderValue = HeaderValue::from_static("pubky-host, Authorization, Cookie");
const VARY_STORAGE: HeaderValue = HeaderValue::from_static("Authorization, Cookie");

/// Marks every response below `/priv/` as `no-store`; failures lose their validators as well.
pub async fn cache_policy(request: Request, next: Next) -> Response {
    let stored = request.extensions().get::<Target>().and_then(|target| target.path.as_ref());
    let (private, vary) = match stored {
        Some(path) => (is_private(path), VARY_STORAGE),
        None => (reads_private(request.uri().path()), VARY_LEGACY),
    };
    let mut response = next.run(request).await;
    if private {
        let failed = response.status().as_u16() >= 400;
        let headers = response.headers_mut();
        headers.insert(CACHE_CONTROL, NO_STORE);
        headers.insert(VARY, vary);
        if failed {
            headers.remove(ETAG);
            headers.remove(LAST_MODIFIED);
        }
    }
    response
}

/// Marks every answer of an event stream's route, refusals too: what it brings depends on who asks.
pub async fn stream_cache_policy(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response.headers_mut().insert(VARY, VARY_LEGACY);
    response
}

/// Whether an undecoded path lies below `/priv/`. One that does not decode or normalise is judged by what is readable
/// of it.
pub fn reads_private(raw: &str) -> bool {
    if is_below_private(raw) {
        return true;
    }
    // Only an escape, a dot segment or an empty one can lead elsewhere.
    if !raw.contains('%') && !raw.contains("/.") && !raw.contains("//") {
        return false;
    }
    let Ok(decoded) = percent_decode_str(raw).decode_utf8() else { return false };
    is_below_private(&decoded) || StoragePath::normalize(&decoded).is_ok_and(|path| is_private(&path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_private_path_is_private() {
        for path in [
            "/priv/a",
            "/%70riv/a",
            "/pub/../priv/a",
            "/pub/%2e%2e/priv/a",
            "//priv/a",
            "/./priv/a",
            "/priv/%ff",
            "/priv/%00",
        ] {
            assert!(reads_private(path), "{path}");
        }
        for path in ["/pub/a", "/priv", "/privately/a", "/pub/priv/a", "/../../priv/a", "/%ff/priv/a"] {
            assert!(!reads_private(path), "{path}");
        }
    }
}
