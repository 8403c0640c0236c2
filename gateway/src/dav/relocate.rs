//! MOVE, which is one command whatever it moves, and COPY of a file, which is a read and a put.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::HeaderMap;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::wire::shard::{MoveEntries, execute_request};
use rowhouse_proto::{ErrorCode, Refusal};

use super::destination::{destination, overwrite};
use super::headers::conditions_hold;
use super::member::{Member, find, tenant};
use super::place::{Place, as_collection};
use super::transfer::{as_file, made_or_replaced};
use crate::app::App;
use crate::cluster::Call;
use crate::respond::{Rejection, empty};
use crate::routes::{EntryChange, EntryRead, EntryTarget, store, whole_file};

/// A request that is fit to be carried out.
struct Way {
    user: PublicKey,
    from: StoragePath,
    found: Member,
    to: StoragePath,
    overwrite: bool,
}

impl Way {
    async fn of(app: &App, call: &Call, place: Place, headers: &HeaderMap) -> Result<Self, Rejection> {
        let (user, from) = place.into_member()?;
        let (to, overwrite) = (destination(headers, &user)?, overwrite(headers)?);
        let found = find(app, call, &user, &from).await?.ok_or(ErrorCode::NotFound)?;
        if !conditions_hold(headers, found.file()) {
            return Err(ErrorCode::PreconditionFailed.into());
        }
        Ok(Self { user, from, found, to, overwrite })
    }
}

/// `MOVE`: 201, or 204 if it replaced a file.
pub async fn relocate(app: &App, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let depth = request.headers().get("depth");
    if depth.is_some_and(|depth| !depth.as_bytes().eq_ignore_ascii_case(b"infinity")) {
        return Err(ErrorCode::InvalidDepth.into());
    }
    let way = Way::of(app, &call, place, request.headers()).await?;
    let existed = find(app, &call, &way.user, &way.to).await?.is_some();
    let (from, to) = match way.found {
        Member::File(_) => (as_file(&way.from)?.as_str().to_owned(), as_file(&way.to)?.as_str().to_owned()),
        Member::Collection => (as_collection(&way.from), as_collection(&way.to)),
    };
    let op = MoveEntries { tenant: tenant(&way.user), from, to, overwrite: way.overwrite };
    let shard = app.cluster.shard_of_user(&way.user).await?;
    app.cluster.execute(&call, shard, String::new(), execute_request::Op::MoveEntries(op)).await?;
    Ok(empty(made_or_replaced(existed)))
}

/// `COPY` of a file: 201, or 204 if it replaced one. A collection is refused as a whole.
pub async fn copy(app: &Arc<App>, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let way = Way::of(app, &call, place, request.headers()).await?;
    if matches!(way.found, Member::Collection) {
        return Err(
            Refusal::new(ErrorCode::NotImplemented, "Collections are not copied: copy their files").into()
        );
    }
    let (from, to) = (as_file(&way.from)?, as_file(&way.to)?);
    if from == to {
        return Err(ErrorCode::MoveIntoItself.into());
    }
    let existed = match find(app, &call, &way.user, &to).await? {
        None => false,
        Some(_) if !way.overwrite => return Err(ErrorCode::DestinationExists.into()),
        Some(Member::File(_)) => true,
        Some(Member::Collection) => return Err(ErrorCode::PathCollision.into()),
    };
    let source = EntryTarget { user: way.user.clone(), path: from, legacy: false };
    let (parts, _body) = request.into_parts();
    let read = EntryRead::by_operator(app, source, parts, app.cluster.call_again(&call));
    let (body, length) = whole_file(&read).await?;
    let target = EntryTarget { user: way.user, path: to, legacy: false };
    let change = EntryChange::by_operator(app, target, Some(length), false, None);
    store(&change, app.cluster.call_again(&call), body).await?;
    Ok(empty(made_or_replaced(existed)))
}
