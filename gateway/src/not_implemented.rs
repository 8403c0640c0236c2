//! The protocol's routes that are not there yet, in one place. They say 501, rather than what the storage
//! routes or an unknown path would answer. Adding a route means deleting its line here: a path and method that stand
//! twice end the gateway's start.

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use http::Method;
use rowhouse_proto::ErrorCode;

use crate::respond::{Rejection, method_not_allowed};

type Routes = &'static [(MethodFilter, &'static str)];

/// Routes of the client API.
pub const CLIENT: Routes = &[(MethodFilter::GET, "/events-stream")];

/// Methods of `/storage/{user}/{*path}`.
const STORAGE_METHODS: [&str; 2] = ["LOCK", "UNLOCK"];

/// Behind the admin password.
pub const ADMIN: Routes = &[(MethodFilter::GET, "/events-stream")];

/// Adds each route of the list, answering 501.
pub fn mount<S: Clone + Send + Sync + 'static>(router: Router<S>, routes: Routes) -> Router<S> {
    routes.iter().fold(router, |router, (method, path)| router.route(path, on(*method, not_implemented)))
}

async fn not_implemented() -> Rejection {
    ErrorCode::NotImplemented.into()
}

/// Any other method of an entry. Locks are not offered yet, so `Allow` does not name them.
pub async fn no_such_storage_method(method: Method) -> Response {
    if STORAGE_METHODS.contains(&method.as_str()) {
        return not_implemented().await.into_response();
    }
    method_not_allowed("GET, HEAD, PUT, DELETE")
}
