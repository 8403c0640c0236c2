//! Users' websites (docs/rules/protocol.md#websites). A file that is there costs one question to its owner's shard. That
//! answer also tells whether the owner is disabled.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Entry, GetUser, query_reply, query_request};

use super::entry_read::EntryRead;
use super::entry_response::{EntryResponse, not_found_page, website_head_response};
use super::entry_target::EntryTarget;
use super::get_entry::{Asked, body_of, entry_of, length_of};
use crate::app::App;
use crate::layers::{AnsweredBy, Website};
use crate::limits::Pace;
use crate::respond::{Rejection, empty};

/// Under which websites are measured.
const ROUTE: &str = "website";

/// Answers what the layer `website` has marked, in place of the routes.
pub async fn serve_website(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let Some(site) = request.extensions_mut().remove::<Website>() else { return next.run(request).await };
    let (parts, _body) = request.into_parts();
    let mut response = answer(&app, site, parts).await.unwrap_or_else(Rejection::into_response);
    response.extensions_mut().insert(AnsweredBy(ROUTE));
    response
}

/// The file; else the way to its directory; else the site's own page for what it lacks.
async fn answer(app: &App, site: Website, parts: Parts) -> Result<Response, Rejection> {
    let head = parts.method == Method::HEAD;
    let target = EntryTarget { user: site.user.clone(), path: site.file.clone(), legacy: false };
    let mut read = EntryRead::of_website(app, target, parts);
    if let Some((entry, pace)) = find(&read, head).await? {
        return page(&read, entry, pace, head).await;
    }
    if let Some(index) = site.index() {
        read.target.path = index;
        if find(&read, true).await?.is_some() {
            return Ok(moved(&site.path, read.uri().query())?);
        }
    }
    let page = site.not_found().filter(|page| *page != site.file).ok_or(ErrorCode::NotFound)?;
    read.target.path = page;
    let (entry, pace) = find(&read, head).await?.ok_or(ErrorCode::NotFound)?;
    let length = if head { entry.length } else { length_of(&entry) };
    let body = if head { Body::empty() } else { body_of(&read, entry.clone(), 0..length, pace).await? };
    Ok(not_found_page(&entry, length, body))
}

async fn page(
    read: &EntryRead<'_>,
    entry: Entry,
    pace: Option<Pace>,
    head: bool,
) -> Result<Response, Rejection> {
    if head {
        return Ok(website_head_response(&entry, read.headers())?);
    }
    let response = EntryResponse::get(&entry, length_of(&entry), read.headers(), false)?;
    let body = body_of(read, entry, response.span.clone(), pace).await?;
    Ok(response.with(body))
}

/// To the path as a directory, so that links in its index resolve against it.
fn moved(path: &StoragePath, query: Option<&str>) -> Result<Response, ErrorCode> {
    let mut location = format!("{}/", path.url_encode());
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    // Queries may hold what no header can.
    let location = HeaderValue::try_from(location).map_err(|_| ErrorCode::InvalidWebsitePath)?;
    let mut response = empty(StatusCode::MOVED_PERMANENTLY);
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// The file of an owner who is not disabled; `None` if there is none, or no such owner.
async fn find(read: &EntryRead<'_>, head: bool) -> Result<Option<(Entry, Option<Pace>)>, Rejection> {
    match entry_of(read, Asked { head, of_enabled: true }).await {
        Ok((entry, pace)) => {
            if !entry.of_enabled {
                enabled(read).await?;
            }
            Ok(Some((entry, pace)))
        }
        Err(rejection) if rejection.code() == ErrorCode::NotFound => Ok(None),
        Err(rejection) => Err(rejection),
    }
}

/// Asks a node whose program is too old to judge the owner with the file.
async fn enabled(read: &EntryRead<'_>) -> Result<(), Rejection> {
    let tenant = read.target.tenant_bytes();
    match read.ask(|_| query_request::Op::GetUser(GetUser { tenant: tenant.clone() })).await?.0 {
        query_reply::Result::Account(account) if account.disabled => Err(ErrorCode::UserDisabled.into()),
        query_reply::Result::Account(_) => Ok(()),
        _ => Err(ErrorCode::Internal.into()),
    }
}
