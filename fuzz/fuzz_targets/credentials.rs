//! `Authorization`, `Cookie` and `Host` headers of any bytes.
#![no_main]

use std::sync::OnceLock;

use http::header::{AUTHORIZATION, COOKIE, HOST};
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use pubky_common::crypto::{Keypair, PublicKey};
use rowhouse_gateway::fuzzing::{credentials, session_cookie};

fn user() -> &'static PublicKey {
    static USER: OnceLock<PublicKey> = OnceLock::new();
    USER.get_or_init(|| Keypair::from_secret(&[7; 32]).public_key())
}

fuzz_target!(|data: &[u8]| {
    // No header may hold a line's end.
    let mut lines = data.splitn(3, |byte| *byte == b'\n').map(<[u8]>::to_vec);
    let mut line = || lines.next().unwrap_or_default();
    let (authorization, cookie, host) = (line(), line(), line());
    let mut headers = HeaderMap::new();
    for (name, value) in [(AUTHORIZATION, &authorization), (COOKIE, &cookie), (HOST, &host)] {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(name, value);
        }
    }
    let found = credentials(&headers, Some(user()));
    if found.bearer.is_some() {
        assert!(authorization.starts_with(b"Bearer ") && authorization.len() == 50);
    }
    // With a name in front that is the user's own, more of the cookie's rules are met.
    assert!(found.cookie.is_none() || contains(&cookie, user().z32().as_bytes()));
    let named = [format!("{}=", user().z32()).as_bytes(), &cookie].concat();
    if let Ok(value) = HeaderValue::from_bytes(&named) {
        headers.insert(COOKIE, value);
        credentials(&headers, Some(user()));
    }
    assert!(credentials(&headers, None).cookie.is_none(), "no tenant, no cookie");
    if let Some(cookie) = session_cookie(&headers, user()) {
        let text = cookie.to_str().expect("ascii");
        assert_eq!(text.contains("; Secure"), text.contains("; SameSite=None"));
    }
});

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
