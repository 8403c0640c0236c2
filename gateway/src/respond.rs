//! The only place where a refusal becomes an HTTP response. Statuses and texts come from the table of
//! `rowhouse_proto::ErrorCode`; this file knows which headers go with them.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use rowhouse_proto::{ErrorCode, Refusal};

/// Content type of refusals and of texts that Rust's own `String` response would carry.
pub const TEXT_UTF8: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
/// Content type of listings.
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
/// Content type of JSON.
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
/// Content type of event streams.
pub const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
/// Content type of binary account records.
pub const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
/// Cache-Control of answers that no cache may keep.
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Wait of a transient refusal that names none: elections and full queues pass within a second.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// A refusal on its way to the client: `Refusal`, which becomes a response here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection(Refusal);

impl Rejection {
    /// The row of the status table.
    pub fn code(&self) -> ErrorCode {
        self.0.code
    }

    /// The body: the cluster's own texts are for logs, and clients see only the table's.
    fn text(self) -> Body {
        let Refusal { code, detail, .. } = self.0;
        if detail.is_empty() || code.is_transient() || code == ErrorCode::Internal {
            Body::from(code.text())
        } else {
            Body::from(detail)
        }
    }

    /// When to come back, in whole seconds; `None` where waiting does not help.
    fn retry_after_s(&self) -> Option<u64> {
        match self.0.retry_after {
            Some(wait) => u64::try_from(wait.as_millis().div_ceil(1000)).ok(),
            None => self.0.code.is_transient().then_some(RETRY_AFTER_DEFAULT_S),
        }
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

/// For what knows no HTTP.
impl From<Rejection> for Refusal {
    fn from(rejection: Rejection) -> Self {
        rejection.0
    }
}

impl From<ErrorCode> for Rejection {
    fn from(code: ErrorCode) -> Self {
        Self(code.into())
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let (code, retry_after_s) = (self.code(), self.retry_after_s());
        let mut response = Response::new(self.text());
        *response.status_mut() = code.http_status();
        if code != ErrorCode::InvalidBoolean {
            response.headers_mut().insert(CONTENT_TYPE, TEXT_UTF8);
        }
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// A refusal as a response, for handlers whose errors are responses already.
pub fn refuse(refusal: impl Into<Rejection>) -> Response {
    refusal.into().into_response()
}

/// A response with this status, content type and body.
pub fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// 200 with a short text.
pub fn text(text: &'static str) -> Response {
    with_body(StatusCode::OK, TEXT_UTF8, text)
}

/// This status without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// 401 of the admin listener. Its refusals carry no content type (docs/rules/protocol.md#no-content-type).
pub fn unauthorized_bare(text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

/// 200 with a value as JSON.
pub fn json<T: serde::Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => with_body(StatusCode::OK, JSON, body),
        Err(_) => refuse(ErrorCode::Internal),
    }
}

/// 405 with the methods that are allowed.
pub fn method_not_allowed(allow: &'static str) -> Response {
    with_header(empty(StatusCode::METHOD_NOT_ALLOWED), ALLOW, HeaderValue::from_static(allow))
}

/// The response, which no cache may keep.
pub fn not_cached(response: Response) -> Response {
    with_header(response, CACHE_CONTROL, NO_STORE)
}

/// The response with a cookie.
pub fn set_cookie(response: Response, cookie: HeaderValue) -> Response {
    with_header(response, SET_COOKIE, cookie)
}

/// The response with one more header.
pub fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_code_answers_with_its_status_and_its_headers() {
        for code in ErrorCode::ALL {
            let response = Rejection::from(*code).into_response();
            assert_eq!(response.status(), code.http_status(), "{code:?}");
            let typed = response.headers().contains_key(CONTENT_TYPE);
            assert_eq!(typed, *code != ErrorCode::InvalidBoolean, "{code:?}");
            assert_eq!(response.headers().contains_key(RETRY_AFTER), code.is_transient(), "{code:?}");
        }
    }

    #[tokio::test]
    async fn details_and_waits_reach_clients_where_the_protocol_has_them() {
        let answer = async |code, wait_ms| {
            let retry_after = Some(Duration::from_millis(wait_ms)).filter(|wait| !wait.is_zero());
            let refusal = Refusal { retry_after, ..Refusal::new(code, "node 3 has lost its disk") };
            let response = Rejection::from(refusal).into_response();
            let wait =
                response.headers().get(RETRY_AFTER).map(|wait| wait.to_str().expect("text").to_owned());
            let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.expect("a body");
            (String::from_utf8(body.to_vec()).expect("text"), wait)
        };
        let told = |text: &str, wait: Option<&str>| (text.to_owned(), wait.map(str::to_owned));
        let table = ErrorCode::text;
        let overloaded = ErrorCode::Overloaded;
        assert_eq!(answer(overloaded, 1_500).await, told(table(overloaded), Some("2")));
        assert_eq!(answer(overloaded, 0).await, told(table(overloaded), Some("1")));
        assert_eq!(answer(ErrorCode::Internal, 0).await, told(table(ErrorCode::Internal), None));
        let detail = "node 3 has lost its disk";
        let full = answer(ErrorCode::DiskFull, 5_000).await;
        assert_eq!(full, told(detail, Some("5")), "not transient by itself, but the shard says when");
        assert_eq!(answer(ErrorCode::InvalidAuthToken, 0).await, told(detail, None));
    }
}
