//! `/users/{pubkey}`: one user, whether it is disabled, and what it may use.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::response::Response;
use http::StatusCode;
use rowhouse_proto::domain::quota::PatchJson;

use super::state::Admin;
use crate::operator::{Operator, UserItem, parse_user};
use crate::respond::{Rejection, empty, json, refuse, text};
use crate::routes::receive;

/// `GET /users/{pubkey}`.
pub async fn user(operator: Operator, Path(pubkey): Path<String>) -> Result<Response, Rejection> {
    Ok(json(&item(&operator, &pubkey).await?))
}

/// `GET /users/{pubkey}/quota`.
pub async fn quota(operator: Operator, Path(pubkey): Path<String>) -> Result<Response, Rejection> {
    Ok(json(&item(&operator, &pubkey).await?.quota))
}

/// `POST /users/{pubkey}/disable`.
pub async fn disable(operator: Operator, Path(pubkey): Path<String>) -> Result<Response, Rejection> {
    operator.disable(&parse_user(&pubkey)?, true).await?;
    Ok(text("Ok"))
}

/// `POST /users/{pubkey}/enable`.
pub async fn enable(operator: Operator, Path(pubkey): Path<String>) -> Result<Response, Rejection> {
    operator.disable(&parse_user(&pubkey)?, false).await?;
    Ok(text("Ok"))
}

/// `PATCH /users/{pubkey}/quota`: 200 without a body.
pub async fn change_quota(
    State(admin): State<Arc<Admin>>,
    operator: Operator,
    Path(pubkey): Path<String>,
    request: Request,
) -> Result<Response, Response> {
    let user = parse_user(&pubkey).map_err(refuse)?;
    let (parts, body) = request.into_parts();
    let patch: PatchJson = receive::json(&admin.app, &parts, body).await?;
    operator.change_quota(&user, patch.into()).await.map_err(refuse)?;
    Ok(empty(StatusCode::OK))
}

async fn item(operator: &Operator, pubkey: &str) -> Result<UserItem, Rejection> {
    let account = operator.user(&parse_user(pubkey)?).await?;
    let defaults = operator.settings().await?.defaults.unwrap_or_default();
    Ok(UserItem::new(&account, &defaults))
}
