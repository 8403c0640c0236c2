//! MKCOL.

use axum::extract::Request;
use axum::response::Response;
use http::StatusCode;
use http_body::Body as _;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{MakeCollection, execute_request};

use super::member::{account, tenant};
use super::place::{Place, as_collection};
use crate::app::App;
use crate::respond::{Rejection, empty};

/// `MKCOL`: 201; 405 where something is, 409 without a collection above.
pub async fn make_collection(app: &App, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    if !request.body().is_end_stream() {
        return Err(ErrorCode::UnsupportedBody.into());
    }
    let (user, path) = match place {
        Place::Member(user, path) => (user, path),
        Place::Root => return Err(ErrorCode::PathExists.into()),
        Place::User(user) => {
            // Users sign up; nobody makes them.
            let missing = |refused: Rejection| match refused.code() {
                ErrorCode::NotFound => ErrorCode::WriteOutsideRoots.into(),
                _ => refused,
            };
            account(app, &call, &user).await.map_err(missing)?;
            return Err(ErrorCode::PathExists.into());
        }
    };
    let op = MakeCollection { tenant: tenant(&user), path: as_collection(&path) };
    let shard = app.cluster.shard_of_user(&user).await?;
    app.cluster.execute(&call, shard, String::new(), execute_request::Op::MakeCollection(op)).await.map_err(
        |refused| match refused.code() {
            // Of the user.
            ErrorCode::NotFound => ErrorCode::NoParent.into(),
            _ => refused,
        },
    )?;
    Ok(empty(StatusCode::CREATED))
}
