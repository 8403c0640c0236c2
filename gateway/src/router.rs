//! The client API: the table of routes, and the stack of layers around them, outermost last as axum reads it.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use http::HeaderName;
use http::header::RETRY_AFTER;
use tower_http::cors::CorsLayer;

use crate::app::App;
use crate::layers::{
    AdminCalls, WebsiteHosts, admin_calls, cache_policy, measure_client, storage_requests,
    stream_cache_policy, tenant, trace, trace_target, website,
};
use crate::limits::{RouteLimits, route_limits};
use crate::routes::signup_token::{only_get, signup_token};
use crate::routes::{
    cookie_session, cookie_signin, cookie_signout, cookie_signup, delete_entry, events, events_stream,
    get_entry, grant_exchange, grant_list, grant_revoke, grant_session, grant_signout, grant_signup,
    head_entry, info, lock_or_unlock, put_entry, root, serve_website,
};

/// Response headers that scripts of other origins may read (docs/rules/protocol.md#layers).
const EXPOSED: [HeaderName; 3] =
    [RETRY_AFTER, HeaderName::from_static("lock-token"), HeaderName::from_static("timeout")];

/// The client API, the same on every client listener.
pub fn router(app: Arc<App>) -> Router {
    let limits = RouteLimits::new(Arc::clone(&app.cluster), app.route_limits.clone());
    let policy = Arc::clone(&app.trace_policy);
    let sites = WebsiteHosts::new(app.websites, &app.homeserver);
    Router::new()
        .route("/", get(root))
        .route("/info", get(info))
        .route("/events/", get(events))
        .route("/signup_tokens/{token}", get(signup_token).head(only_get).fallback(only_get))
        .route(
            "/events-stream",
            get(events_stream).head(only_get).fallback(only_get).layer(from_fn(stream_cache_policy)),
        )
        .route("/signup", post(cookie_signup))
        .route("/session", post(cookie_signin).get(cookie_session).delete(cookie_signout))
        .route("/auth/grant/signup", post(grant_signup))
        .route("/auth/grant/session", post(grant_exchange).get(grant_session).delete(grant_signout))
        .route("/auth/grant/sessions", get(grant_list))
        .route("/auth/grant/session/{gid}", delete(grant_revoke))
        .merge(storage_router())
        .with_state(Arc::clone(&app))
        // In place of every route, for what was found to be a website's.
        .layer(from_fn_with_state(app, serve_website))
        // Before all work on the request. The tenant is known, whose path counts from its own root.
        .layer(from_fn_with_state(Arc::new(limits), route_limits))
        .layer(from_fn_with_state(Arc::clone(&policy), trace_target))
        // Replaces the tenant, so that the root span and limits know whose site it is.
        .layer(from_fn_with_state(Arc::new(sites), website))
        // Malformed storage paths are refused before anyone asks who is there.
        .layer(from_fn(tenant))
        // Only watches: what asks for the operator's API here is refused by the routes.
        .layer(from_fn_with_state(Arc::<AdminCalls>::default(), admin_calls))
        .layer(from_fn_with_state(policy, trace))
        .layer(from_fn(measure_client))
        // Outermost: answers every OPTIONS itself, and refusals stay readable to browsers.
        .layer(CorsLayer::very_permissive().expose_headers(EXPOSED))
}

/// Both addressings share their handlers; they differ in how the target is found.
fn storage_router() -> Router<Arc<App>> {
    let entries = get(get_entry).head(head_entry).put(put_entry).delete(delete_entry);
    Router::new()
        .route("/storage/{user}/{*path}", entries.clone().fallback(lock_or_unlock))
        .route("/{*path}", entries)
        .layer(from_fn(cache_policy))
        .layer(from_fn(storage_requests))
}
