//! `GET` and `POST /generate_signup_token`, `GET /signup_tokens`.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::{StatusCode, Uri};
use rowhouse_proto::domain::quota::QuotaJson;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::meta::list_signup_tokens;
use serde::Serialize;

use super::params::{Params, invalid};
use super::state::Admin;
use crate::operator::{Operator, TokenItem, TokenQuery};
use crate::respond::{Rejection, TEXT_UTF8, json, method_not_allowed, refuse, with_body};
use crate::routes::receive;
use crate::routes::signup_token::check_format;

/// `GET /generate_signup_token`: a token whose user has the cluster's defaults.
pub async fn create(operator: Operator) -> Result<Response, Rejection> {
    created(&operator, UserQuota::default()).await
}

/// `POST /generate_signup_token`: a token whose user has this quota.
pub async fn create_with_quota(
    State(admin): State<Arc<Admin>>,
    operator: Operator,
    request: Request,
) -> Result<Response, Response> {
    let (parts, body) = request.into_parts();
    let quota: QuotaJson = receive::json(&admin.app, &parts, body).await?;
    created(&operator, quota.into()).await.map_err(refuse)
}

/// 405 for every other method of `/generate_signup_token`.
pub async fn only_create() -> Response {
    method_not_allowed("GET, POST")
}

async fn created(operator: &Operator, quota: UserQuota) -> Result<Response, Rejection> {
    Ok(with_body(StatusCode::OK, TEXT_UTF8, operator.create_token(quota).await?))
}

#[derive(Serialize)]
struct Page {
    items: Vec<TokenItem>,
    next_cursor: Option<String>,
}

/// `GET /signup_tokens`: a page of tokens, by their texts.
pub async fn list(operator: Operator, uri: Uri) -> Result<Response, Rejection> {
    use list_signup_tokens::State;
    let params = Params::of(&uri)?;
    let state =
        params.one_of("state", [("all", State::All), ("used", State::Used), ("unused", State::Unused)])?;
    let after = params.get("cursor")?.unwrap_or_default().to_owned();
    if params.get("cursor")?.is_some() && check_format(&after).is_err() {
        return Err(invalid("cursor must be a signup token"));
    }
    let query = TokenQuery { state, limit: params.limit()?.into(), after };
    let page = operator.tokens(&query).await?;
    let items = page.tokens.iter().map(TokenItem::from).collect();
    Ok(json(&Page { items, next_cursor: page.next }))
}
