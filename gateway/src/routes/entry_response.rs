//! What a stored file looks like in HTTP: its headers, and when "not modified" says enough.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED, VARY,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::Entry;

use crate::body::Held;
use crate::cluster::ByteLease;
use crate::respond::empty;

const REVALIDATE: HeaderValue = HeaderValue::from_static("private, must-revalidate");
const VARY_LEGACY: HeaderValue = HeaderValue::from_static("pubky-host");
/// The last second HTTP dates can name: 9999-12-31T23:59:59Z.
const HTTP_DATE_MAX_S: u64 = 253_402_300_799;

/// 200 with the body, or 304.
pub fn get_response(
    entry: Entry,
    request: &HeaderMap,
    legacy: bool,
    lease: ByteLease,
) -> Result<Response, ErrorCode> {
    let validators = Validators::of(&entry)?;
    let mut response = if validators.match_request(request) {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        let content_type = content_type(&entry.content_type);
        let mut response = Response::new(Body::new(Held::new(entry.body, lease)));
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    };
    validators.stamp(response.headers_mut(), legacy);
    Ok(response)
}

/// HEAD ignores conditions.
pub fn head_response(entry: &Entry, legacy: bool) -> Result<Response, ErrorCode> {
    let validators = Validators::of(entry)?;
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type(&entry.content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(entry.length));
    validators.stamp(headers, legacy);
    Ok(response)
}

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
    use crate::cluster::Admission;

    fn entry() -> Entry {
        Entry {
            hash: vec![0xAB; 32].into(),
            length: 5,
            content_type: "text/plain".into(),
            modified_ms: 1_445_412_480_999,
            body: "hello".into(),
        }
    }

    fn status(headers: &[(&'static str, &str)]) -> StatusCode {
        let request = headers
            .iter()
            .map(|(name, value)| (http::HeaderName::from_static(name), value.parse().expect("header value")))
            .collect();
        let lease = Admission::new(1, 1).bytes();
        get_response(entry(), &request, false, lease).expect("response").status()
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
