//! Facts about a body that stand in its request's head.

use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};

/// The Content-Length header, when it is a number.
pub fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client sends its body only once it is asked for: when the body is first polled, the connection
/// answers `100 Continue`. A refusal of such a request therefore leaves the body alone (RFC 9110 §10.1.1).
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}
