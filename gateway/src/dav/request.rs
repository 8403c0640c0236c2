//! The routes of `/dav`, and the way of a request through them: password, method, place.

use std::net::IpAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::from_fn;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::{HeaderName, HeaderValue, Method};
use rowhouse_proto::ErrorCode;
use tokio_util::task::TaskTracker;
use tower_http::cors::CorsLayer;

use super::options::{METHODS, options};
use super::place::Place;
use super::{delete, headers, locking, make, propfind, relocate, transfer};
use crate::admin::Admin;
use crate::admin::attempts::address_of;
use crate::admin::basic;
use crate::app::App;
use crate::operator::Operator;
use crate::respond::{Rejection, method_not_allowed};

/// Clients ask for the password again for another realm.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Basic realm=\"dav\", charset=\"UTF-8\"");
const EXPOSED: [HeaderName; 2] = [HeaderName::from_static("dav"), HeaderName::from_static("lock-token")];

/// `/dav` and everything below it.
pub fn router<S: Clone + Send + Sync + 'static>(admin: Arc<Admin>) -> Router<S> {
    Router::new()
        .route("/dav", any(answer))
        .route("/dav/", any(answer))
        .route("/dav/{*path}", any(answer))
        .layer(CorsLayer::very_permissive().expose_headers(EXPOSED))
        // Outside of CORS, which would answer each of them.
        .layer(from_fn(options))
        // Outermost: refusals carry them too.
        .layer(from_fn(headers::harmless))
        .with_state(admin)
}

async fn answer(State(admin): State<Arc<Admin>>, request: Request) -> Response {
    let address = address_of(request.extensions());
    if let Err(refusal) = basic::check(request.headers(), address, &admin, CHALLENGE) {
        return *refusal;
    }
    let answered = match is_change(request.method()) {
        true => changed(&admin, address, request).await,
        false => dispatch(&admin.app, request).await,
    };
    answered.unwrap_or_else(IntoResponse::into_response)
}

/// The one place that every change through `/dav` passes. It stands between two records, as every change of an operator
/// does, and goes on when the client leaves: an upload then ends by its broken body.
async fn changed(admin: &Admin, address: IpAddr, request: Request) -> Result<Response, Rejection> {
    let app = Arc::clone(&admin.app);
    let who = format!("admin@{address}");
    let action = format!("{} /dav", request.method());
    let (cluster, call) = (Arc::clone(&app.cluster), app.call(request.extensions()));
    let operator = Operator::new(cluster, call, &who, &action, app.limits.signup_reservation_s);
    let target = target(&request);
    let task = async move {
        let change = operator.begin(&target).await?;
        let answered = dispatch(&app, request).await;
        let status = match &answered {
            Ok(response) => response.status(),
            Err(rejection) => rejection.code().http_status(),
        };
        change.end(status.as_str()).await;
        answered
    };
    TaskTracker::new().spawn(task).await.map_err(|_| ErrorCode::Internal)?
}

/// What is changed, and where it goes if it moves.
fn target(request: &Request) -> String {
    let path = request.uri().path();
    match request.headers().get("destination").and_then(|header| header.to_str().ok()) {
        Some(destination) => format!("{path} to {destination}"),
        None => path.to_owned(),
    }
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
