//! The body of a 207, page by page.

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use http::{HeaderValue, StatusCode};

use super::pages::Pages;
use super::properties::{Resource, Told, Wanted};
use crate::app::App;
use crate::body::leased;
use crate::respond::{Rejection, with_body};

const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
const HEAD: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:multistatus xmlns:D=\"DAV:\">";
const TAIL: &str = "</D:multistatus>";

/// 207 with all resources of the pages. The first page is there before the status is; a later one that cannot be had
/// breaks the body, so that nobody takes a part for the whole. Memory holds one page, and the client's pace is kept.
pub async fn multistatus(mut pages: Pages, wanted: Wanted) -> Result<Response, Rejection> {
    let first = match pages.next().await? {
        Some(resources) => part(pages.app(), HEAD, &resources, &wanted)?,
        None => Bytes::from_static(HEAD.as_bytes()),
    };
    let rest = stream::try_unfold(Some((pages, wanted)), |state| async move {
        let Some((mut pages, wanted)) = state else { return Ok(None) };
        match pages.next().await? {
            Some(resources) => {
                let bytes = part(pages.app(), "", &resources, &wanted)?;
                Ok(Some((bytes, Some((pages, wanted)))))
            }
            None => Ok(Some((Bytes::from_static(TAIL.as_bytes()), None))),
        }
    })
    .map_err(|refused: Rejection| axum::Error::new(refused.code().text()));
    let body = Body::from_stream(stream::once(async { Ok(first) }).chain(rest));
    Ok(with_body(StatusCode::MULTI_STATUS, XML, body))
}

/// One page's responses. They hold their room in memory until they are sent.
fn part(app: &App, head: &str, resources: &[Resource], wanted: &Wanted) -> Result<Bytes, Rejection> {
    let mut xml = head.to_owned();
    for resource in resources {
        push_response(&mut xml, resource, wanted);
    }
    let mut lease = app.cluster.admission().bytes();
    lease.grow(xml.len())?;
    Ok(leased(xml.into(), lease))
}

fn push_response(xml: &mut String, resource: &Resource, wanted: &Wanted) {
    let Told { found, missing } = resource.tell(wanted);
    xml.push_str("<D:response><D:href>");
    // Percent-encoded: nothing in it needs an escape.
    xml.push_str(&resource.href);
    xml.push_str("</D:href>");
    if !found.is_empty() || missing.is_empty() {
        push_propstat(xml, &found, "200 OK");
    }
    if !missing.is_empty() {
        push_propstat(xml, &missing, "404 Not Found");
    }
    xml.push_str("</D:response>");
}

fn push_propstat(xml: &mut String, properties: &str, status: &str) {
    for part in ["<D:propstat><D:prop>", properties, "</D:prop><D:status>HTTP/1.1 ", status] {
        xml.push_str(part);
    }
    xml.push_str("</D:status></D:propstat>");
}
