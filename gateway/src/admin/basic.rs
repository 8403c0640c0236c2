//! HTTP Basic for what browsers and file managers ask: the user is `admin`, the password the admin listener's.

use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, StatusCode};

use axum::response::Response;

use super::attempts::{Verdict, limited};
use super::state::Admin;
use crate::respond::empty;

const USER: &str = "admin";
const SCHEME: &str = "basic";

/// Lets the right password pass. The response is the refusal: 401, or 429 after too many wrong ones. A request without
/// credentials is no attempt: programs ask that way whether any are needed. `challenge` names the realm.
pub fn check(
    headers: &HeaderMap,
    address: IpAddr,
    admin: &Admin,
    challenge: HeaderValue,
) -> Result<(), Box<Response>> {
    if let Some(header) = headers.get(AUTHORIZATION) {
        let expected = format!("{USER}:{}", admin.password);
        match admin.attempts.judge(address, &given(header).unwrap_or_default(), &expected) {
            Verdict::Right => return Ok(()),
            Verdict::Limited(left) => return Err(Box::new(limited(left))),
            Verdict::Wrong => {}
        }
    }
    let mut refusal = empty(StatusCode::UNAUTHORIZED);
    refusal.headers_mut().insert(WWW_AUTHENTICATE, challenge);
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

    #[test]
    fn user_and_password_are_read_as_one() {
        let read = |value: &str| given(&value.parse().expect("a header"));
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert_eq!(read(&basic("admin:correct horse")), Some(b"admin:correct horse".to_vec()));
        assert_eq!(read(&basic("a:b").replace("Basic", "bAsIc")), Some(b"a:b".to_vec()));
        for value in ["Basic", "Basic %", "Bearer YWRtaW46Y29ycmVjdCBob3JzZQ=="] {
            assert_eq!(read(value), None, "{value}");
        }
    }
}
