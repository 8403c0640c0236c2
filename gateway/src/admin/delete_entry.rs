//! `DELETE /webdav/{pubkey}/pub/...`: deletes a user's public file.

use axum::extract::Path;
use axum::response::Response;
use http::StatusCode;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::domain::path::is_public;

use super::params::invalid;
use crate::operator::{Operator, parse_user};
use crate::respond::{Rejection, empty};

/// `DELETE /webdav/{*entry_path}`: 204; 404 without such a file. Refused outside `/pub/`.
pub async fn delete_entry(operator: Operator, Path(entry_path): Path<String>) -> Result<Response, Rejection> {
    let (user, path) =
        entry_path.split_once('/').ok_or_else(|| invalid("the path must be a user's key and a path"))?;
    let user = parse_user(user)?;
    let path = StoragePath::new(&format!("/{path}"))
        .map_err(|error| invalid(format!("Invalid storage path: {error}")))?;
    if !is_public(&path) {
        return Err(invalid("the path must start with /pub/"));
    }
    operator.delete_entry(&user, &path).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
