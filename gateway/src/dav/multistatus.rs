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

/// The whole document about one resource.
#[cfg(fuzzing)]
pub fn document(resource: &Resource, wanted: &Wanted) -> String {
    let mut xml = HEAD.to_owned();
    push_response(&mut xml, resource, wanted);
    xml + TAIL
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use pubky_common::crypto::Keypair;
    use pubky_common::storage_path::StoragePath;
    use xml::reader::{EventReader, XmlEvent};

    use super::*;
    use crate::dav::place::{Place, href};

    /// The text of each element, by its name.
    fn texts(document: &str) -> Result<Vec<(String, String)>, String> {
        let (mut texts, mut open) = (Vec::new(), Vec::new());
        for event in EventReader::new(document.as_bytes()) {
            match event.map_err(|error| error.to_string())? {
                XmlEvent::StartElement { name, .. } => open.push((name.local_name, String::new())),
                XmlEvent::Characters(text) | XmlEvent::Whitespace(text) => {
                    if let Some((_, so_far)) = open.last_mut() {
                        so_far.push_str(&text);
                    }
                }
                XmlEvent::EndElement { .. } => texts.extend(open.pop()),
                _ => {}
            }
        }
        Ok(texts)
    }

    fn names() -> impl Strategy<Value = String> {
        let special = prop::sample::select(
            "&<>\"'%#?;=+ ]!-.\u{FFFE}\u{FFFF}\u{A0}\u{1F600}".chars().collect::<Vec<_>>(),
        );
        let character = prop_oneof![special, any::<char>()];
        prop::collection::vec(character, 1..24)
            .prop_map(|characters| characters.into_iter().filter(|c| !c.is_control()).collect::<String>())
            .prop_filter("legal", |name| {
                !name.contains('/') && StoragePath::new(&format!("/pub/{name}")).is_ok()
            })
    }

    proptest! {
        #[test]
        fn any_legal_name_is_told_well_formed_and_found_again(name in names()) {
            let user = Keypair::from_secret(&[7; 32]).public_key();
            let path = format!("/pub/{name}");
            let resource =
                Resource { href: href(&user, &path), name: name.clone(), file: None, quota: None };
            let mut xml = HEAD.to_owned();
            push_response(&mut xml, &resource, &Wanted::All(Vec::new()));
            xml.push_str(TAIL);
            let texts = texts(&xml).map_err(TestCaseError::fail)?;
            let text = |element: &str| texts.iter().find(|(name, _)| name == element).map(|(_, text)| text.clone());
            let shown: String = name.chars().filter(|c| !['\u{FFFE}', '\u{FFFF}'].contains(c)).collect();
            prop_assert_eq!(text("displayname"), Some(shown));
            let href = text("href").unwrap_or_default();
            let place = Place::of(&href.parse().map_err(|_| TestCaseError::fail("no URI"))?);
            let path = StoragePath::new(&path).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(place.map_err(|refusal| refusal.code), Ok(Place::Member(user, path)));
        }
    }
}
