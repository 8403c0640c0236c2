//! The operator's password, in the `X-Admin-Password` header.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Admin;
use super::attempts::{Verdict, address_of, limited};
use crate::respond::unauthorized_bare;

/// Scripts and dashboards show the password in it.
pub const HEADER: &str = "x-admin-password";

/// Lets requests with the right password through; answers the others 401, or 429 after too many.
pub async fn password(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let Some(given) = request.headers().get(HEADER) else {
        return unauthorized_bare("Missing admin password");
    };
    match admin.attempts.judge(address_of(request.extensions()), given.as_bytes(), &admin.password) {
        Verdict::Right => next.run(request).await,
        Verdict::Wrong => unauthorized_bare("Invalid admin password"),
        Verdict::Limited(left) => limited(left),
    }
}
