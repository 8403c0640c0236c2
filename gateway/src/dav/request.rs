//! The routes of `/dav`, and the way of a request through them: password, method, place.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, Method, StatusCode};
use tower_http::cors::CorsLayer;

use super::options::{METHODS, options};
use super::place::Place;
use super::{basic, delete, headers, locking, make, propfind, relocate, transfer};
use crate::app::App;
use crate::respond::{Rejection, method_not_allowed};

const EXPOSED: [HeaderName; 2] = [HeaderName::from_static("dav"), HeaderName::from_static("lock-token")];

/// The state of the routes.
pub struct Dav {
    /// The gateway's.
    pub app: Arc<App>,
    /// The operator's.
    pub password: String,
}

/// `/dav` and everything below it.
pub fn router<S: Clone + Send + Sync + 'static>(dav: Dav) -> Router<S> {
    Router::new()
        .route("/dav", any(answer))
        .route("/dav/", any(answer))
        .route("/dav/{*path}", any(answer))
        .layer(CorsLayer::very_permissive().expose_headers(EXPOSED))
        // Outside of CORS, which would answer each of them.
        .layer(from_fn(options))
        // Outermost: refusals carry them too.
        .layer(from_fn(headers::harmless))
        .with_state(Arc::new(dav))
}

async fn answer(State(dav): State<Arc<Dav>>, request: Request) -> Response {
    if let Err(refusal) = basic::check(request.headers(), &dav.password) {
        return *refusal;
    }
    let method = request.method().clone();
    let response = match dispatch(&dav.app, request).await {
        Ok(response) => response,
        Err(refused) => refused.into_response(),
    };
    if is_change(&method) {
        changed(&method, response.status());
    }
    response
}

async fn dispatch(app: &Arc<App>, request: Request) -> Result<Response, Rejection> {
    let place = Place::of(request.uri())?;
    match request.method().as_str() {
        "GET" | "HEAD" => transfer::get(app, place, request).await,
        "PUT" => transfer::put(app, place, request).await,
        "DELETE" => delete::delete(app, place, request).await,
        "MKCOL" => make::make_collection(app, place, request).await,
        "PROPFIND" => propfind::propfind(app, place, request).await,
        "MOVE" => relocate::relocate(app, place, request).await,
        "COPY" => relocate::copy(app, place, request).await,
        "LOCK" | "UNLOCK" | "PROPPATCH" => locking::locking(app, place, request).await,
        _ => Ok(method_not_allowed(METHODS)),
    }
}

fn is_change(method: &Method) -> bool {
    matches!(method.as_str(), "PUT" | "DELETE" | "MKCOL" | "MOVE" | "COPY" | "LOCK")
}

/// The one place that every change through `/dav` passes, made or refused.
fn changed(method: &Method, status: StatusCode) {
    tracing::info!(%method, status = status.as_u16(), "the operator asked for a change through /dav");
}
