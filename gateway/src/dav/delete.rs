//! DELETE of a file, or of a collection with all that lies below it. Either is one command.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{DeleteEntry, RemoveCollection, execute_request::Op};

use super::headers::conditions_hold;
use super::member::{Member, find, tenant};
use super::place::{Place, as_collection};
use super::transfer::as_file;
use crate::app::App;
use crate::conditions::tag_conditions;
use crate::respond::{Rejection, empty};
use crate::routes::operator;

/// `DELETE`: 204.
pub async fn delete(app: &App, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let (user, path) = place.into_member()?;
    let found = find(app, &call, &user, &path).await?.ok_or(ErrorCode::NotFound)?;
    if !conditions_hold(request.headers(), found.file()) {
        return Err(ErrorCode::PreconditionFailed.into());
    }
    let conditions = tag_conditions(request.headers())?;
    let op = if conditions.is_some() { Op::DeleteEntryIf } else { Op::DeleteEntry };
    let op = match found {
        Member::File(_) => op(DeleteEntry {
            credential: Some(operator()),
            tenant: tenant(&user),
            path: as_file(&path)?.as_str().to_owned(),
            conditions,
        }),
        Member::Collection => {
            // A collection goes with its members (RFC 4918 §9.6.1).
            let depth = request.headers().get("depth");
            if depth.is_some_and(|depth| !depth.as_bytes().eq_ignore_ascii_case(b"infinity")) {
                return Err(ErrorCode::InvalidDepth.into());
            }
            Op::RemoveCollection(RemoveCollection { tenant: tenant(&user), path: as_collection(&path) })
        }
    };
    let shard = app.cluster.shard_of_user(&user).await?;
    app.cluster.execute(&call, shard, String::new(), op).await?;
    Ok(empty(StatusCode::NO_CONTENT))
}
