//! GET, HEAD and PUT of a file, by the functions that serve clients.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_RANGE};
use http::{HeaderMap, Method, StatusCode};
use http_body::Body as _;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::path::is_private;
use rowhouse_proto::wire::entry::Conditions;

use super::headers::conditions_hold;
use super::member::{Member, account, find};
use super::options::COLLECTION_METHODS;
use super::place::Place;
use crate::app::App;
use crate::body::{declared_length, drain, expects_continue};
use crate::cluster::Call;
use crate::conditions::tag_conditions;
use crate::respond::{NO_STORE, Rejection, empty, method_not_allowed};
use crate::routes::{EntryChange, EntryRead, EntryTarget, get_file, head_file, store};

/// Finder sends bodies without a Content-Length and says here how long they will be.
const EXPECTED_LENGTH: &str = "x-expected-entity-length";

/// `GET` or `HEAD` of a file: 405 for a collection, because a listing is PROPFIND's.
pub async fn get(app: &App, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let (user, path) = match place {
        Place::Root => return Ok(method_not_allowed(COLLECTION_METHODS)),
        Place::User(user) => {
            account(app, &call, &user).await?;
            return Ok(method_not_allowed(COLLECTION_METHODS));
        }
        Place::Member(user, path) => (user, path),
    };
    let path = match find(app, &call, &user, &path).await? {
        None => return Err(ErrorCode::NotFound.into()),
        Some(Member::Collection) => return Ok(method_not_allowed(COLLECTION_METHODS)),
        Some(Member::File(_)) => as_file(&path)?,
    };
    let private = is_private(&path);
    let head = request.method() == Method::HEAD;
    let (parts, _body) = request.into_parts();
    let target = EntryTarget { user, path, legacy: false };
    let read = EntryRead::by_operator(app, target, parts, call);
    let mut response = if head { head_file(&read).await? } else { get_file(&read).await? };
    if private {
        response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    }
    Ok(response)
}

/// `PUT` of a file: 201 for a new one, 204 for one that was there.
pub async fn put(app: &Arc<App>, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let (parts, body) = request.into_parts();
    let held_back = expects_continue(&parts.headers) && !body.is_end_stream();
    let (target, existed, conditions) = match put_target(app, &call, place, &parts.headers).await {
        Ok(target) => target,
        Err(refused) => {
            if !held_back {
                drain(body).await;
            }
            return Err(refused);
        }
    };
    let change =
        EntryChange::by_operator(app, target, expected_length(&parts.headers), held_back, conditions);
    store(&change, app.cluster.call_again(&call), body).await?;
    Ok(empty(made_or_replaced(existed)))
}

/// The file that a PUT may store, and whether it is there already. Everything that needs no body is judged.
async fn put_target(
    app: &App,
    call: &Call,
    place: Place,
    headers: &HeaderMap,
) -> Result<(EntryTarget, bool, Option<Conditions>), Rejection> {
    let (user, path) = place.into_member()?;
    // A part of a file cannot be written (RFC 9110 §14.5).
    if headers.contains_key(CONTENT_RANGE) {
        return Err(ErrorCode::InvalidParameter.into());
    }
    let found = find(app, call, &user, &path).await?;
    if path.is_directory() || matches!(found, Some(Member::Collection)) {
        return Err(ErrorCode::NotForCollections.into());
    }
    if !conditions_hold(headers, found.as_ref().and_then(Member::file)) {
        return Err(ErrorCode::PreconditionFailed.into());
    }
    let conditions = tag_conditions(headers)?;
    Ok((EntryTarget { user, path, legacy: false }, found.is_some(), conditions))
}

/// Stores an empty file: a lock of nothing makes one (RFC 4918 §7.3).
pub async fn put_nothing(app: &App, user: PublicKey, path: StoragePath) -> Result<(), Rejection> {
    let call = app.cluster.call(None);
    let target = EntryTarget { user, path, legacy: false };
    let change = EntryChange::by_operator(app, target, Some(0), false, None);
    store(&change, call, axum::body::Body::empty()).await.map(drop)
}

/// The status of a change that put something at a path.
pub fn made_or_replaced(existed: bool) -> StatusCode {
    if existed { StatusCode::NO_CONTENT } else { StatusCode::CREATED }
}

/// The path of a file that was found, without a last slash.
pub fn as_file(path: &StoragePath) -> Result<StoragePath, ErrorCode> {
    StoragePath::new(path.as_str().trim_end_matches('/')).map_err(|_| ErrorCode::NotFound)
}

fn expected_length(headers: &HeaderMap) -> Option<u64> {
    let expected = || headers.get(EXPECTED_LENGTH)?.to_str().ok()?.parse().ok();
    declared_length(headers).or_else(expected)
}
