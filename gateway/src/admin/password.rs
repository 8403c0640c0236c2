//! The `X-Admin-Password` header, compared without telling by timing how much of it was right.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use subtle::ConstantTimeEq;

use super::Admin;
use crate::respond::unauthorized_bare;

const HEADER: &str = "x-admin-password";

/// Lets requests with the right password through; answers the others 401.
pub async fn password(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let Some(given) = request.headers().get(HEADER) else {
        return unauthorized_bare("Missing admin password");
    };
    // Hashes have one length, so that the password's own stays hidden too.
    let (given, expected) = (blake3::hash(given.as_bytes()), blake3::hash(admin.password.as_bytes()));
    if !bool::from(given.as_bytes().ct_eq(expected.as_bytes())) {
        return unauthorized_bare("Invalid admin password");
    }
    next.run(request).await
}
