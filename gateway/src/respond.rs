//! The only place where an outcome becomes an HTTP response. Statuses and texts come from
//! `rowhouse_proto::ErrorCode`; this file knows which headers go with them.

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, SET_COOKIE};
use http::{HeaderName, HeaderValue, StatusCode};
use rowhouse_proto::wire::shard::Failure;
use rowhouse_proto::{ErrorCode, Refusal};

pub const TEXT_UTF8: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub const TEXT: HeaderValue = HeaderValue::from_static("text/plain");
pub const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");
pub const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
/// Where a refusal names no better time: elections and full queues pass within a second.
const RETRY_AFTER_DEFAULT_S: u64 = 1;

/// A refusal on its way to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    refusal: Refusal,
    /// What may end by itself says when to come back.
    retry_after_s: Option<u64>,
}

impl Rejection {
    /// A shard's refusal. Texts of the cluster's own codes are for logs, not for clients.
    pub fn of_failure(code: ErrorCode, failure: Failure) -> Self {
        let detail =
            if code.is_transient() || code == ErrorCode::Internal { String::new() } else { failure.detail };
        let told = u64::from(failure.retry_after_ms).div_ceil(1000);
        let retry_after_s = (told > 0 || code.is_transient()).then_some(told.max(RETRY_AFTER_DEFAULT_S));
        Self { refusal: Refusal { code, detail }, retry_after_s }
    }

    pub fn code(&self) -> ErrorCode {
        self.refusal.code
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let retry_after_s = refusal.code.is_transient().then_some(RETRY_AFTER_DEFAULT_S);
        Self { refusal, retry_after_s }
    }
}

impl From<ErrorCode> for Rejection {
    fn from(code: ErrorCode) -> Self {
        Refusal::from(code).into()
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        let code = self.refusal.code;
        let body = if self.refusal.detail.is_empty() {
            Body::from(code.text())
        } else {
            Body::from(self.refusal.detail)
        };
        let mut response = Response::new(body);
        *response.status_mut() = code.http_status();
        if code != ErrorCode::InvalidBoolean {
            response.headers_mut().insert(CONTENT_TYPE, TEXT_UTF8);
        }
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

pub fn text(text: &'static str) -> Response {
    with_body(StatusCode::OK, TEXT_UTF8, text)
}

pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Admin refusals carry no content type (docs/rules/protocol.md#no-content-type).
pub fn unauthorized_bare(text: &'static str) -> Response {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    response
}

pub fn json<T: serde::Serialize>(value: &T) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => with_body(StatusCode::OK, JSON, body),
        Err(_) => Rejection::from(ErrorCode::Internal).into_response(),
    }
}

pub fn method_not_allowed(allow: &'static str) -> Response {
    with_header(empty(StatusCode::METHOD_NOT_ALLOWED), ALLOW, HeaderValue::from_static(allow))
}

pub fn not_cached(response: Response) -> Response {
    with_header(response, CACHE_CONTROL, NO_STORE)
}

pub fn set_cookie(response: Response, cookie: HeaderValue) -> Response {
    with_header(response, SET_COOKIE, cookie)
}

fn with_header(mut response: Response, name: HeaderName, value: HeaderValue) -> Response {
    response.headers_mut().insert(name, value);
    response
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn shard_details_reach_clients_only_where_the_protocol_has_them() {
        let failure = |retry_after_ms| Failure {
            detail: "node 3 has lost its disk".into(),
            retry_after_ms,
            ..Failure::default()
        };
        let busy = Rejection::of_failure(ErrorCode::Overloaded, failure(1_500));
        assert_eq!(busy.refusal.text(), ErrorCode::Overloaded.text());
        assert_eq!(busy.retry_after_s, Some(2));
        let full = Rejection::of_failure(ErrorCode::DiskFull, failure(5_000));
        assert_eq!(full.retry_after_s, Some(5), "not transient by itself, but the shard says when");
        let token = Rejection::of_failure(ErrorCode::InvalidAuthToken, failure(0));
        assert_eq!(token.refusal.text(), "node 3 has lost its disk");
        assert_eq!(token.retry_after_s, None);
    }
}
