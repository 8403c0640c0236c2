//! Queries of listings, feeds and streams: bounds hold, refusals are one line, and what was understood is understood
//! again.
#![no_main]

use http::Uri;
use libfuzzer_sys::fuzz_target;
use pubky_common::crypto::Keypair;
use pubky_common::storage_path::StoragePath;
use rowhouse_gateway::fuzzing::{ListParams, StreamParams, old_cursor};
use rowhouse_proto::Refusal;
use rowhouse_proto::domain::path::parse_list_cursor;

const LIMIT_MAX: u16 = 1000;
const USERS_MAX: usize = 50;
/// Seeds say this for a key.
const KEY: &str = "KEY";

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let text = text.replace(KEY, &Keypair::from_secret(&[7; 32]).public_key().z32());
    listing(&text);
    stream(&text);
    cursor(&text);
});

fn listing(query: &str) {
    let Ok(uri) = format!("/pub/?{query}").parse::<Uri>() else { return };
    let Ok(params) = ListParams::of(&uri) else { return };
    assert!(params.limit <= LIMIT_MAX);
    cursor(&params.cursor);
    let again = format!(
        "/pub/?limit={}&cursor={}&shallow={}&reverse={}",
        params.limit,
        encoded(&params.cursor),
        params.shallow,
        params.reverse
    );
    assert_eq!(ListParams::of(&again.parse().expect("a URL")), Ok(params));
}

fn stream(query: &str) {
    match StreamParams::of_users(query) {
        Ok(params) => {
            sound(&params);
            assert!((1..=USERS_MAX).contains(&params.users.len()));
            let again = StreamParams::of_users(&written(&params)).expect("it was understood");
            assert_eq!(again, params);
        }
        Err(refused) => one_line(&refused),
    }
    match StreamParams::of_operator(query) {
        Ok((params, cursor)) => {
            sound(&params);
            assert!(params.users.len() <= USERS_MAX && cursor.as_deref() != Some(""));
            assert!(params.users.iter().all(|user| user.cursor.is_none()));
        }
        Err(refused) => one_line(&refused),
    }
}

fn sound(params: &StreamParams) {
    assert!(!(params.live && params.reverse));
    assert_ne!(params.limit, Some(0));
    for path in &params.paths {
        assert_eq!(StoragePath::normalize(path.as_str()).as_ref(), Ok(path), "one form");
    }
}

/// A reader that does not look at the status takes a line for an event, or for a cursor.
fn one_line(refused: &Refusal) {
    let text = refused.text();
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(!["cursor:", "PUT ", "DEL "].iter().any(|start| text.starts_with(start)), "{text:?}");
}

fn cursor(text: &str) {
    if let Some(path) = parse_list_cursor(text) {
        assert!(text.ends_with(path.as_str()));
        assert_eq!(StoragePath::new(path.as_str()).as_ref(), Ok(&path));
    }
    if old_cursor(text).is_some() {
        assert_eq!(text.chars().count(), 13, "{text:?}");
    }
}

fn written(params: &StreamParams) -> String {
    let mut query = format!("live={}&reverse={}", params.live, params.reverse);
    if let Some(limit) = params.limit {
        query.push_str(&format!("&limit={limit}"));
    }
    for user in &params.users {
        let cursor = user.cursor.as_ref().map(|cursor| format!(":{}", encoded(cursor)));
        query.push_str(&format!("&user={}{}", user.key.z32(), cursor.unwrap_or_default()));
    }
    for path in &params.paths {
        query.push_str(&format!("&path={}", encoded(path.as_str())));
    }
    query
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}
