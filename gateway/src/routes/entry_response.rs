//! A stored file as an HTTP response: its headers, the part that is asked for, and whether "not modified" is enough.

use std::ops::Range;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::Entry;

use super::range::{Wanted, wanted};
use crate::respond::empty;

const REVALIDATE: HeaderValue = HeaderValue::from_static("private, must-revalidate");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const VARY_LEGACY: HeaderValue = HeaderValue::from_static("pubky-host");
/// The last second HTTP dates can name: 9999-12-31T23:59:59Z.
const HTTP_DATE_MAX_S: u64 = 253_402_300_799;

/// A file's answer but for its body.
pub struct EntryResponse {
    response: Response,
    /// The bytes of the file that the body must be; empty where there is none.
    pub span: Range<u64>,
}

impl EntryResponse {
    /// Answers a GET: 304, 416, 206 or 200. The file has `length` bytes.
    pub fn get(entry: &Entry, length: u64, request: &HeaderMap, legacy: bool) -> Result<Self, ErrorCode> {
        let validators = Validators::of(entry)?;
        let (status, span) = if validators.match_request(request) {
            (StatusCode::NOT_MODIFIED, 0..0)
        } else {
            match validators.range_of(request, length) {
                Wanted::Whole => (StatusCode::OK, 0..length),
                Wanted::Part(span) => (StatusCode::PARTIAL_CONTENT, span),
                Wanted::Unsatisfiable => (StatusCode::RANGE_NOT_SATISFIABLE, 0..0),
            }
        };
        let mut response = empty(status);
        let headers = response.headers_mut();
        if status.is_success() {
            describe(headers, entry);
        }
        let range = match status {
            StatusCode::PARTIAL_CONTENT => Some(format!("bytes {}-{}/{length}", span.start, span.end - 1)),
            StatusCode::RANGE_NOT_SATISFIABLE => Some(format!("bytes */{length}")),
            _ => None,
        };
        if let Some(range) = range {
            headers.insert(CONTENT_RANGE, HeaderValue::try_from(range).map_err(|_| ErrorCode::Internal)?);
        }
        validators.stamp(headers, legacy);
        Ok(Self { response, span })
    }

    /// The response with its body, which must be the bytes of `span`.
    pub fn with(self, body: Body) -> Response {
        self.response.map(|_empty| body)
    }
}

/// HEAD ignores conditions and ranges.
pub fn head_response(entry: &Entry, legacy: bool) -> Result<Response, ErrorCode> {
    let validators = Validators::of(entry)?;
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    describe(headers, entry);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(entry.length));
    validators.stamp(headers, legacy);
    Ok(response)
}

/// HEAD of a website's file: conditions are honoured, unlike elsewhere.
pub fn website_head_response(entry: &Entry, request: &HeaderMap) -> Result<Response, ErrorCode> {
    if Validators::of(entry)?.match_request(request) {
        return Ok(EntryResponse::get(entry, entry.length, request, false)?.with(Body::empty()));
    }
    head_response(entry, false)
}

/// A website's page for what it does not have. It has no version of its own: no validators, and no ranges.
pub fn not_found_page(entry: &Entry, length: u64, body: Body) -> Response {
    let mut response = empty(StatusCode::NOT_FOUND).map(|_empty| body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type(&entry.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

fn describe(headers: &mut HeaderMap, entry: &Entry) {
    headers.insert(CONTENT_TYPE, content_type(&entry.content_type));
    headers.insert(ACCEPT_RANGES, BYTES);
}

/// Adds `Vary: pubky-host` where that header chose the tenant.
pub fn vary_legacy(response: &mut Response, legacy: bool) {
    if legacy {
        response.headers_mut().insert(VARY, VARY_LEGACY);
    }
}

fn content_type(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

struct Validators {
    etag: HeaderValue,
    modified: SystemTime,
}

impl Validators {
    fn of(entry: &Entry) -> Result<Self, ErrorCode> {
        let etag = format!("\"{}\"", STANDARD.encode(&entry.hash));
        let etag = HeaderValue::try_from(etag).map_err(|_| ErrorCode::Internal)?;
        let modified_s = (entry.modified_ms / 1000).min(HTTP_DATE_MAX_S);
        Ok(Self { etag, modified: UNIX_EPOCH + Duration::from_secs(modified_s) })
    }

    /// If-None-Match decides alone when present: exact tags, no `*`, no `W/`.
    fn match_request(&self, request: &HeaderMap) -> bool {
        let text = |name| request.get(name).and_then(|value| value.to_str().ok());
        if let Some(tags) = text(IF_NONE_MATCH) {
            return tags.split(',').any(|tag| tag.trim().as_bytes() == self.etag.as_bytes());
        }
        text(IF_MODIFIED_SINCE)
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .is_some_and(|since| since >= self.modified)
    }

    fn range_of(&self, request: &HeaderMap, length: u64) -> Wanted {
        let mut lines = request.get_all(RANGE).iter();
        let (Some(line), None) = (lines.next(), lines.next()) else { return Wanted::Whole };
        match line.to_str() {
            Ok(line) if self.still_hold(request) => wanted(line, length),
            Ok(_) | Err(_) => Wanted::Whole,
        }
    }

    /// If-Range: a part is of use only with the other parts of the same file. Exact, as the RFC demands.
    fn still_hold(&self, request: &HeaderMap) -> bool {
        let Some(condition) = request.get(IF_RANGE) else { return true };
        condition == self.etag
            || condition
                .to_str()
                .ok()
                .and_then(|date| httpdate::parse_http_date(date).ok())
                .is_some_and(|date| date == self.modified)
    }

    fn stamp(self, headers: &mut HeaderMap, legacy: bool) {
        if let Ok(modified) = HeaderValue::try_from(httpdate::fmt_http_date(self.modified)) {
            headers.insert(LAST_MODIFIED, modified);
        }
        headers.insert(ETAG, self.etag);
        headers.insert(CACHE_CONTROL, REVALIDATE);
        if legacy {
            headers.insert(VARY, VARY_LEGACY);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        Entry {
            hash: vec![0xAB; 32].into(),
            length: 5,
            content_type: "text/plain".into(),
            modified_ms: 1_445_412_480_999,
            body: "hello".into(),
            ..Entry::default()
        }
    }

    fn answer(headers: &[(&'static str, &str)]) -> EntryResponse {
        let request = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("header value")))
            .collect();
        EntryResponse::get(&entry(), 5, &request, false).expect("response")
    }

    fn status(headers: &[(&'static str, &str)]) -> StatusCode {
        answer(headers).response.status()
    }

    #[test]
    fn ranges_hold_for_the_same_file_only() {
        let etag = format!("\"{}\"", STANDARD.encode([0xAB; 32]));
        let range = ("range", "bytes=1-3");
        let modified = "Wed, 21 Oct 2015 07:28:00 GMT";
        for headers in [vec![range], vec![range, ("if-range", &*etag)], vec![range, ("if-range", modified)]] {
            let answer = answer(&headers);
            assert_eq!((answer.response.status(), &answer.span), (StatusCode::PARTIAL_CONTENT, &(1..4)));
            let headers = answer.response.headers();
            assert_eq!(headers.get(CONTENT_RANGE), Some(&HeaderValue::from_static("bytes 1-3/5")));
            assert_eq!(headers.get(ACCEPT_RANGES), Some(&BYTES));
            assert!(headers.contains_key(ETAG) && headers.contains_key(CONTENT_TYPE));
        }
        for headers in [
            vec![range, ("if-range", &*format!("W/{etag}"))],
            vec![range, ("if-range", "\"x\"")],
            vec![range, ("if-range", "Wed, 21 Oct 2015 07:28:01 GMT")],
            vec![range, ("if-range", "Wed, 21 Oct 2015 07:27:59 GMT")],
            vec![("range", "bytes=0-0,2-2")],
            vec![range, range],
        ] {
            let answer = answer(&headers);
            assert_eq!((answer.response.status(), answer.span), (StatusCode::OK, 0..5), "{headers:?}");
        }
        let beyond = answer(&[("range", "bytes=5-")]);
        assert_eq!((beyond.response.status(), beyond.span), (StatusCode::RANGE_NOT_SATISFIABLE, 0..0));
        let told = beyond.response.headers().get(CONTENT_RANGE);
        assert_eq!(told, Some(&HeaderValue::from_static("bytes */5")));
        assert_eq!(
            status(&[range, ("if-none-match", &etag)]),
            StatusCode::NOT_MODIFIED,
            "conditions come first"
        );
    }

    #[test]
    fn conditions_are_compared_to_the_letter() {
        let etag = format!("\"{}\"", STANDARD.encode([0xAB; 32]));
        let same_second = "Wed, 21 Oct 2015 07:28:00 GMT";
        for matching in [
            vec![("if-none-match", etag.as_str())],
            vec![("if-none-match", &*format!("\"x\" , {etag}"))],
            vec![("if-modified-since", same_second)],
            vec![("if-modified-since", "Thu, 22 Oct 2015 07:28:00 GMT")],
        ] {
            assert_eq!(status(&matching), StatusCode::NOT_MODIFIED, "{matching:?}");
        }
        for modified in [
            vec![],
            vec![("if-none-match", "*")],
            vec![("if-none-match", &*format!("W/{etag}"))],
            vec![("if-none-match", "\"x\""), ("if-modified-since", same_second)],
            vec![("if-modified-since", "Wed, 21 Oct 2015 07:27:59 GMT")],
            vec![("if-modified-since", "yesterday")],
        ] {
            assert_eq!(status(&modified), StatusCode::OK, "{modified:?}");
        }
    }

    #[test]
    fn files_carry_their_validators() {
        let response = head_response(&entry(), true).expect("response");
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        assert_eq!(header(CONTENT_LENGTH), Some("5"));
        assert_eq!(header(CONTENT_TYPE), Some("text/plain"));
        assert_eq!(header(LAST_MODIFIED), Some("Wed, 21 Oct 2015 07:28:00 GMT"));
        assert_eq!(header(CACHE_CONTROL), Some("private, must-revalidate"));
        assert_eq!(header(VARY), Some("pubky-host"));
        assert_eq!(header(ETAG).map(str::len), Some(46));
        let far = Entry { modified_ms: u64::MAX, content_type: "a\nb".into(), ..entry() };
        let response = head_response(&far, false).expect("response");
        assert_eq!(response.headers().get(CONTENT_TYPE).map(HeaderValue::len), Some(0));
        assert!(!response.headers().contains_key(VARY));
    }
}
