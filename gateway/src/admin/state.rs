//! What the admin listener's routes share, and who a request's operator is.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, MatchedPath};
use http::request::Parts;

use super::attempts::{Attempts, address_of};
use super::status::Board;
use crate::app::App;
use crate::operator::Operator;
use crate::respond::Rejection;

/// The state of the admin listener's routes.
pub struct Admin {
    pub app: Arc<App>,
    pub password: String,
    pub address: PublicAddress,
    pub attempts: Attempts,
    /// What the status page shows.
    pub board: Board,
}

/// Where clients find this gateway.
#[derive(Clone)]
pub struct PublicAddress {
    pub ip: IpAddr,
    pub tls_port: u16,
    pub http_port: u16,
    pub icann_domain: Option<String>,
}

/// Who has the password is `admin`, known by address; the action is the method and the route.
impl FromRequestParts<Arc<Admin>> for Operator {
    type Rejection = Rejection;

    async fn from_request_parts(parts: &mut Parts, admin: &Arc<Admin>) -> Result<Self, Rejection> {
        let route = parts.extensions.get::<MatchedPath>().map_or("", MatchedPath::as_str);
        let who = format!("admin@{}", address_of(&parts.extensions));
        let action = format!("{} {route}", parts.method);
        let app = &admin.app;
        let call = app.call(&parts.extensions);
        Ok(Self::new(Arc::clone(&app.cluster), call, &who, &action, app.limits.signup_reservation_s))
    }
}
