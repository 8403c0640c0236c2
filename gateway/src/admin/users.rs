//! `GET /users`, and `GET /users/disabled`, which older dashboards ask for.

use axum::response::Response;
use http::Uri;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::wire::shard::list_users::{Sort, State};
use serde::Serialize;

use super::params::Params;
use crate::operator::{Operator, UserItem, UserQuery, parse_user};
use crate::respond::{Rejection, json};

#[derive(Serialize)]
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Disabled {
    pubkey: String,
}

/// `GET /users`: a page of users, by signup or by usage.
pub async fn users(operator: Operator, uri: Uri) -> Result<Response, Rejection> {
    let params = Params::of(&uri)?;
    let states = [("all", State::All), ("enabled", State::Enabled), ("disabled", State::Disabled)];
    let query = UserQuery {
        state: params.one_of("state", states)?,
        sort: params.one_of("sort_by", [("created_at", Sort::CreatedAt), ("used_bytes", Sort::UsedBytes)])?,
        reverse: params.one_of("reverse", [("false", false), ("true", true)])?,
        limit: params.limit()?.into(),
        cursor: cursor(&params)?,
    };
    Ok(json(&page(&operator, &query).await?))
}

/// `GET /users/disabled`: the keys of disabled users, in the order of their signup.
pub async fn disabled(operator: Operator, uri: Uri) -> Result<Response, Rejection> {
    let params = Params::of(&uri)?;
    let (limit, cursor) = (params.limit()?.into(), cursor(&params)?);
    let query = UserQuery { state: State::Disabled, limit, cursor, ..UserQuery::default() };
    let Page { items, next_cursor } = page(&operator, &query).await?;
    let items = items.into_iter().map(|item| Disabled { pubkey: item.pubky }).collect();
    Ok(json(&Page { items, next_cursor }))
}

fn cursor(params: &Params) -> Result<Option<PublicKey>, Rejection> {
    Ok(params.get("cursor")?.map(parse_user).transpose()?)
}

async fn page(operator: &Operator, query: &UserQuery) -> Result<Page<UserItem>, Rejection> {
    let page = operator.users(query).await?;
    let defaults = operator.settings().await?.defaults.unwrap_or_default();
    let items: Vec<UserItem> =
        page.accounts.iter().map(|account| UserItem::new(account, &defaults)).collect();
    let next_cursor = items.last().filter(|_| page.more).map(|last| last.pubky.clone());
    Ok(Page { items, next_cursor })
}
