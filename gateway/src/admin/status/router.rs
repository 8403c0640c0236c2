//! The routes of the page, and the password before them: Basic for browsers, `X-Admin-Password` for scripts.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::get;
use http::{HeaderValue, StatusCode};

use super::super::attempts::address_of;
use super::super::state::Admin;
use super::super::{basic, password};
use super::{harmless, stream};
use crate::respond::with_body;

const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"rowhouse status\", charset=\"UTF-8\"");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const CSS: HeaderValue = HeaderValue::from_static("text/css; charset=utf-8");
const JS: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const SVG: HeaderValue = HeaderValue::from_static("image/svg+xml");

/// `/status` and everything below it.
pub fn router<S: Clone + Send + Sync + 'static>(admin: Arc<Admin>) -> Router<S> {
    let file = |content_type: HeaderValue, text: &'static str| {
        get(async move || with_body(StatusCode::OK, content_type.clone(), text))
    };
    Router::new()
        .route("/status", file(HTML, include_str!("page/index.html")))
        .route("/status/", file(HTML, include_str!("page/index.html")))
        .route("/status/page.css", file(CSS, include_str!("page/page.css")))
        .route("/status/page.js", file(JS, include_str!("page/page.js")))
        .route("/status/rows.js", file(JS, include_str!("page/rows.js")))
        .route("/status/icon.svg", file(SVG, include_str!("page/icon.svg")))
        .route("/status/events", get(stream::events))
        .route_layer(from_fn_with_state(Arc::clone(&admin), known))
        // Outermost: refusals carry them too.
        .route_layer(from_fn(harmless::harmless))
        .with_state(admin)
}

/// Lets those through who know the password.
async fn known(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    if request.headers().contains_key(password::HEADER) {
        return password::password(State(admin), request, next).await;
    }
    match basic::check(request.headers(), address_of(request.extensions()), &admin, CHALLENGE) {
        Ok(()) => next.run(request).await,
        Err(refusal) => *refusal,
    }
}
