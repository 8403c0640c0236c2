//! The table of the admin listener's routes.

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{delete, get, post};
use tower_http::cors::CorsLayer;

use super::state::Admin;
use super::{delete_entry, events_stream, info, password, status, tokens, user, users};
use crate::layers::measure_admin;
use crate::routes::signup_token::only_get;
use crate::{dav, respond};

/// The admin listener's routes. All but the greeting need the password.
pub fn router(admin: Arc<Admin>) -> Router {
    let only_create = tokens::only_create;
    let protected = Router::new()
        .route("/events-stream", get(events_stream::events_stream).head(only_get).fallback(only_get))
        .route("/info", get(info::info))
        .route(
            "/generate_signup_token",
            get(tokens::create).post(tokens::create_with_quota).head(only_create).fallback(only_create),
        )
        .route("/signup_tokens", get(tokens::list))
        .route("/users", get(users::users))
        .route("/users/disabled", get(users::disabled))
        .route("/users/{pubkey}", get(user::user))
        .route("/users/{pubkey}/disable", post(user::disable))
        .route("/users/{pubkey}/enable", post(user::enable))
        .route("/users/{pubkey}/quota", get(user::quota).patch(user::change_quota))
        .route("/webdav/{*entry_path}", delete(delete_entry::delete_entry))
        // Inside: everything but the greeting needs the password.
        .layer(from_fn_with_state(Arc::clone(&admin), password::password));
    let dav = dav::router(Arc::clone(&admin));
    let status = status::router(Arc::clone(&admin));
    let others = protected
        .route("/", get(async || respond::text("Homeserver - Admin Endpoint")))
        .with_state(admin)
        // The dashboard is a page of another origin.
        .layer(CorsLayer::very_permissive());
    // Each asks for the password in its own way, and no page of another origin reads the status. What is nowhere is
    // answered by the other routes.
    dav.merge(status).merge(others).layer(from_fn(measure_admin))
}
