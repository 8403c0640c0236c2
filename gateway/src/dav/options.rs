//! OPTIONS: file managers ask it before they show a password box, and mount nothing that does not say `DAV`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{ACCESS_CONTROL_REQUEST_METHOD, ALLOW, CONTENT_LENGTH};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::respond::empty;

/// The methods of `/dav`.
pub const METHODS: &str =
    "OPTIONS, GET, HEAD, PUT, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK";
/// Those of a collection.
pub const COLLECTION_METHODS: &str = "OPTIONS, DELETE, PROPFIND, PROPPATCH, MKCOL, COPY, MOVE, LOCK, UNLOCK";
/// Class 2 is locks, which Finder and Windows insist on before they write.
const CLASSES: HeaderValue = HeaderValue::from_static("1, 2");
const DAV: HeaderName = HeaderName::from_static("dav");
const MS_AUTHOR_VIA: HeaderName = HeaderName::from_static("ms-author-via");

/// Answers OPTIONS. A browser's preflight is left to the layer of CORS, which would otherwise answer them all.
pub async fn options(request: Request, next: Next) -> Response {
    let is_preflight = request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if request.method() != Method::OPTIONS || is_preflight {
        return next.run(request).await;
    }
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(DAV, CLASSES);
    headers.insert(ALLOW, HeaderValue::from_static(METHODS));
    headers.insert(MS_AUTHOR_VIA, HeaderValue::from_static("DAV"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
