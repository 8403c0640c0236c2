//! The operator's listener: plain HTTP, one password, no client of the network ever sees it.

mod info;
mod password;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use tower_http::cors::CorsLayer;

use crate::dav::{self, Dav};
use crate::{not_implemented, respond};

pub use info::{Admin, PublicAddress};

/// The admin listener's routes. All but the greeting and `/dav` need the password.
pub fn router(admin: Arc<Admin>) -> Router {
    let dav = Dav { app: Arc::clone(&admin.app), password: admin.password.clone() };
    let protected = not_implemented::mount(Router::new(), not_implemented::ADMIN)
        .route("/info", get(info::info))
        // Inside: everything but the greeting needs the password.
        .layer(from_fn_with_state(Arc::clone(&admin), password::password));
    let admin = protected
        .route("/", get(async || respond::text("Homeserver - Admin Endpoint")))
        .with_state(admin)
        // The dashboard is a page of another origin.
        .layer(CorsLayer::very_permissive());
    // It has a password, methods and an answer to OPTIONS of its own. What is nowhere is answered by the other routes.
    dav::router(dav).merge(admin)
}
