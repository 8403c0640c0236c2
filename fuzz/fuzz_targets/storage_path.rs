//! Raw paths of requests: decoded once, never above the root, one form, and private ones never cached.
#![no_main]

use http::{Request, Uri};
use libfuzzer_sys::fuzz_target;
use pubky_common::crypto::Keypair;
use pubky_common::storage_path::StoragePath;
use rowhouse_gateway::fuzzing::{dav_member, decode_path, reads_private, target};
use rowhouse_proto::domain::path::{ancestors, is_private, parse_canonical};

/// Bytes of a segment and of a path.
const SEGMENT_MAX: usize = 255;
const PATH_MAX: usize = 972;

fuzz_target!(|data: &[u8]| {
    let Ok(raw) = std::str::from_utf8(data) else { return };
    let accepted = decode_path(raw).ok();
    assert_eq!(accepted.as_ref().map(StoragePath::as_str), expected(raw).as_deref(), "{raw:?}");
    let Some(path) = accepted else { return };
    one_form(&path);
    let owner = Keypair::from_secret(&[7; 32]).public_key();
    if let Ok(uri) = format!("/storage/{}/{raw}", owner.z32()).parse::<Uri>()
        && let Some(seen) = uri.path().strip_prefix(&format!("/storage/{}/", owner.z32()))
        && seen == raw
        && !seen.is_empty()
    {
        let request = Request::builder().uri(uri).body(()).expect("a request");
        let target = target(&request).expect("a path that decodes").expect("it names its owner");
        assert_eq!((&target.user, target.path.as_ref()), (&owner, Some(&path)));
    }
    if let Ok(uri) = format!("/dav/{}/{raw}", owner.z32()).parse::<Uri>()
        && uri.path().ends_with(raw)
        && uri.query().is_none()
    {
        let member = (!path.is_root()).then_some((owner, path.clone()));
        assert_eq!(dav_member(&uri), member);
    }
    if is_private(&path) {
        assert!(reads_private(&format!("/{raw}")), "a cache may keep {raw:?}");
    }
});

/// A path is itself however often it is normalised, and what it is encoded to names it alone.
fn one_form(path: &StoragePath) {
    let text = path.as_str();
    assert_eq!(StoragePath::normalize(text).as_ref(), Ok(path));
    assert_eq!(parse_canonical(text).as_ref(), Ok(path));
    let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for spelling in [&encoded, &encoded.to_lowercase(), &path.url_encode()] {
        assert_eq!(decode_path(spelling.trim_start_matches('/')).as_ref(), Ok(path), "{spelling}");
    }
    for above in ancestors(path) {
        assert!(text.starts_with(above) && text[above.len()..].starts_with('/'));
    }
}

/// What the rules say of a raw path without its first slash; `None` if it is refused.
fn expected(raw: &str) -> Option<String> {
    let decoded = String::from_utf8(decoded_once(raw.as_bytes())).ok()?;
    let mut kept: Vec<&str> = Vec::new();
    for segment in decoded.split('/') {
        let bad = segment.len() > SEGMENT_MAX || segment.chars().any(|it| it.is_control() || it == '\\');
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop()?),
            _ if bad => return None,
            _ => kept.push(segment),
        }
    }
    let last = decoded.rsplit('/').next();
    let directory = matches!(last, Some("" | "." | ".."));
    let mut path = format!("/{}", kept.join("/"));
    if directory && !kept.is_empty() {
        path.push('/');
    }
    (path.len() <= PATH_MAX && !path.ends_with(char::is_whitespace)).then_some(path)
}

fn decoded_once(mut raw: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::new();
    while let Some((&byte, rest)) = raw.split_first() {
        let digits = rest.get(..2).filter(|_| byte == b'%').and_then(|two| std::str::from_utf8(two).ok());
        let hex = digits.filter(|two| two.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(escaped) => {
                decoded.push(escaped);
                raw = &rest[2..];
            }
            None => {
                decoded.push(byte);
                raw = rest;
            }
        }
    }
    decoded
}
