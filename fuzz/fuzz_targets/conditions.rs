//! `If-Match`, `If-None-Match` and `If`: a condition is read whole or refused, and never left out.
#![no_main]

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use rowhouse_gateway::fuzzing::{conditions, format_token, unlock_token};

const NAMES: [&str; 3] = ["if-match", "if-none-match", "if"];
const HASH_BYTES: usize = 32;
const TOKEN_BYTES: usize = 16;

fuzz_target!(|data: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in data.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let name = NAMES[usize::from(line[0]) % NAMES.len()];
        if let Ok(value) = HeaderValue::from_bytes(&line[1..]) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    if let Ok(read) = conditions(&headers) {
        let read = read.unwrap_or_default();
        assert_eq!(read.if_match.is_some(), headers.contains_key("if-match"));
        assert_eq!(read.if_none_match.is_some(), headers.contains_key("if-none-match"));
        assert_eq!(read.held.is_some(), headers.contains_key("if"));
        for tags in [read.if_match, read.if_none_match].into_iter().flatten() {
            assert!(!tags.any || tags.hashes.is_empty());
            assert!(tags.hashes.iter().all(|hash| hash.len() == HASH_BYTES));
        }
        for token in read.held.into_iter().flat_map(|held| held.tokens) {
            assert_eq!(token.len(), TOKEN_BYTES);
            let told = HeaderValue::try_from(format!("<{}>", format_token(&token))).expect("plain text");
            let headers = HeaderMap::from_iter([(HeaderName::from_static("lock-token"), told)]);
            assert_eq!(unlock_token(&headers), Some(token), "a token is told as it is presented");
        }
    }
});
