//! The protocol's methods that are not there yet, in one place. They say 501, rather than what an unknown method is
//! answered.

use axum::response::{IntoResponse, Response};
use http::Method;
use rowhouse_proto::ErrorCode;

use crate::respond::{method_not_allowed, refuse};

/// Methods of `/storage/{user}/{*path}`.
const STORAGE_METHODS: [&str; 2] = ["LOCK", "UNLOCK"];

/// Any other method of an entry. Locks are not offered yet, so `Allow` does not name them.
pub async fn no_such_storage_method(method: Method) -> Response {
    if STORAGE_METHODS.contains(&method.as_str()) {
        return refuse(ErrorCode::NotImplemented).into_response();
    }
    method_not_allowed("GET, HEAD, PUT, DELETE")
}
