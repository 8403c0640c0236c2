//! HTTP Basic for `/dav`: the user is `admin`, the password the admin listener's.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};
use subtle::ConstantTimeEq;

use axum::response::Response;

use crate::respond::empty;

const USER: &str = "admin";
const SCHEME: &str = "basic";
/// Clients ask for the password again for another realm.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"dav\", charset=\"UTF-8\"");

/// Lets the right password pass. The response is the refusal: 401.
pub fn check(headers: &HeaderMap, password: &str) -> Result<(), Box<Response>> {
    let given = headers.get(AUTHORIZATION).and_then(given).unwrap_or_default();
    // Hashes have one length, so that the password's own stays hidden too.
    let (given, expected) = (blake3::hash(&given), blake3::hash(format!("{USER}:{password}").as_bytes()));
    if bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        return Ok(());
    }
    let mut refusal = empty(StatusCode::UNAUTHORIZED);
    refusal.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
    Err(Box::new(refusal))
}

/// User and password with a colon between them.
fn given(header: &HeaderValue) -> Option<Vec<u8>> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case(SCHEME).then(|| STANDARD.decode(token.trim()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(value: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        if let Some(value) = value {
            headers.insert(AUTHORIZATION, value.parse().expect("a header"));
        }
        match check(&headers, "correct horse") {
            Ok(()) => false,
            Err(response) => {
                assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
                assert_eq!(response.headers().get(WWW_AUTHENTICATE), Some(&CHALLENGE));
                true
            }
        }
    }

    #[test]
    fn only_the_operator_passes() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(!refused(Some(&basic("admin:correct horse"))));
        assert!(!refused(Some(&basic("admin:correct horse").replace("Basic", "bAsIc"))));
        for text in ["", "admin", "admin:", "admin:correct hors", "root:correct horse", ":correct horse"] {
            assert!(refused(Some(&basic(text))), "{text}");
        }
        for value in [None, Some("Basic"), Some("Basic %"), Some("Bearer YWRtaW46Y29ycmVjdCBob3JzZQ==")] {
            assert!(refused(value), "{value:?}");
        }
    }
}
