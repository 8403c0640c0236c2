//! The session cookie as it is set and removed (docs/rules/protocol.md#cookie-sessions).

use std::net::Ipv6Addr;
use std::time::{Duration, SystemTime};

use http::header::HOST;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue};
use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::secret::CookieSecret;
use rowhouse_proto::{ErrorCode, Refusal};

/// Browsers keep the cookie a year; the session itself ends only by sign-out.
const LIFETIME: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The host a request was sent to, without its port: it decides the cookie's attributes.
#[derive(Debug, PartialEq, Eq)]
pub struct RequestHost(String);

impl RequestHost {
    /// Refuses a request without a Host header, or with one that is no authority.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let value = headers.get(HOST).ok_or(ErrorCode::MissingHost)?;
        Authority::try_from(value.as_bytes())
            .map(|authority| Self(authority.host().to_owned()))
            .map_err(|_| Refusal::new(ErrorCode::MissingHost, "invalid HTTP header (host)"))
    }

    /// A key or a dotted domain is reached over TLS; addresses and single labels are development.
    fn is_secure(&self) -> bool {
        if PublicKey::try_from_z32(&self.0).is_ok() {
            return true;
        }
        let host = self.0.trim_start_matches('[').trim_end_matches(']');
        if host.parse::<Ipv6Addr>().is_ok() {
            return false;
        }
        // A last label that is a number makes it an IPv4 address in one of its spellings.
        let last = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
        let numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
        host.contains('.') && !numeric
    }
}

/// The `Set-Cookie` value of a new session. `None` if it cannot be written as a header, which no secret causes.
pub fn session_cookie(user: &PublicKey, secret: &CookieSecret, host: &RequestHost) -> Option<HeaderValue> {
    let expires = SystemTime::now() + LIFETIME;
    render(user, secret.as_str(), host, LIFETIME.as_secs(), expires)
}

/// The `Set-Cookie` value that makes a client forget its session.
pub fn removal_cookie(user: &PublicKey, host: &RequestHost) -> Option<HeaderValue> {
    render(user, "", host, 0, SystemTime::now() - LIFETIME)
}

fn render(
    user: &PublicKey,
    value: &str,
    host: &RequestHost,
    max_age_s: u64,
    expires: SystemTime,
) -> Option<HeaderValue> {
    let secure = if host.is_secure() { " SameSite=None; Secure;" } else { "" };
    let expires = httpdate::fmt_http_date(expires);
    let text =
        format!("{}={value}; HttpOnly;{secure} Path=/; Max-Age={max_age_s}; Expires={expires}", user.z32());
    HeaderValue::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    fn host(text: &str) -> RequestHost {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, text.parse().expect("header value"));
        RequestHost::of(&headers).expect(text)
    }

    #[test]
    fn keys_and_dotted_domains_are_secure() {
        let key = Keypair::random().public_key().z32();
        for secure in [&*key, "example.com", "example.com:8080", "a.b.c", "example.com."] {
            assert!(host(secure).is_secure(), "{secure}");
        }
        assert!(host(&format!("_pubky.{key}")).is_secure());
        for plain in [
            "localhost",
            "localhost:6286",
            "127.0.0.1",
            "127.0.0.1:80",
            "[::1]",
            "[::1]:6286",
            "homeserver",
            "1.2",
        ] {
            assert!(!host(plain).is_secure(), "{plain}");
        }
    }

    #[test]
    fn a_host_is_needed() {
        let missing = RequestHost::of(&HeaderMap::new()).expect_err("no host");
        assert_eq!(missing.text(), "Header of type `host` was missing");
        let mut headers = HeaderMap::new();
        headers.insert(HOST, "a b".parse().expect("header value"));
        assert!(RequestHost::of(&headers).is_err());
    }

    #[test]
    fn attributes_stand_in_the_order_clients_have_always_seen() {
        let user = Keypair::random().public_key();
        let secret = CookieSecret::generate();
        let set = session_cookie(&user, &secret, &host("example.com")).expect("ascii");
        let start = format!(
            "{}={}; HttpOnly; SameSite=None; Secure; Path=/; Max-Age=31536000; Expires=",
            user.z32(),
            secret.as_str()
        );
        assert!(set.to_str().expect("ascii").starts_with(&start), "{set:?}");
        assert!(set.to_str().expect("ascii").ends_with(" GMT"));
        let removed = removal_cookie(&user, &host("localhost")).expect("ascii");
        let start = format!("{}=; HttpOnly; Path=/; Max-Age=0; Expires=", user.z32());
        assert!(removed.to_str().expect("ascii").starts_with(&start), "{removed:?}");
    }
}
