//! PROPFIND: one resource, or a collection with its immediate members.

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode};
use rowhouse_proto::ErrorCode;

use super::multistatus::multistatus;
use super::pages::Pages;
use super::place::Place;
use super::properties::Wanted;
use super::xml_body;
use crate::app::App;
use crate::respond::{Rejection, with_body};

const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
/// RFC 4918 §9.1: a server may refuse to walk everything.
const FINITE_DEPTH: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>";

/// `PROPFIND`: 207, streamed.
pub async fn propfind(app: &Arc<App>, place: Place, request: Request) -> Result<Response, Rejection> {
    let call = app.call(request.extensions());
    let deep = match depth(request.headers())? {
        Depth::Zero => false,
        Depth::One => true,
        Depth::Infinity => return Ok(with_body(StatusCode::FORBIDDEN, XML, FINITE_DEPTH)),
    };
    let body = xml_body::read(app, request.into_body()).await?;
    let wanted =
        if body.is_empty() { Wanted::All(Vec::new()) } else { Wanted::of(&xml_body::elements(&body)?)? };
    let pages = Pages::of(app, call, place, deep, wanted.wants_quota()).await?;
    multistatus(pages, wanted).await
}

enum Depth {
    Zero,
    One,
    Infinity,
}

/// No header asks for everything.
fn depth(headers: &HeaderMap) -> Result<Depth, ErrorCode> {
    let mut lines = headers.get_all("depth").iter();
    match (lines.next().map(HeaderValue::as_bytes), lines.next()) {
        (None, _) => Ok(Depth::Infinity),
        (Some(b"0"), None) => Ok(Depth::Zero),
        (Some(b"1"), None) => Ok(Depth::One),
        (Some(text), None) if text.eq_ignore_ascii_case(b"infinity") => Ok(Depth::Infinity),
        _ => Err(ErrorCode::InvalidDepth),
    }
}
