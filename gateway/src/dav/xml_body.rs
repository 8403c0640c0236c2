//! Bodies of XML: small, read whole, and looked through without recursion before anything else sees them.

use std::io::Cursor;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rowhouse_proto::ErrorCode;
use xml::ParserConfig;
use xml::reader::XmlEvent;

use crate::app::App;

/// Real bodies have a few hundred bytes.
pub const XML_BYTES_MAX: usize = 64 * 1024;
/// Deepest nesting. Real bodies have four levels; a parser that recurses would run out of stack.
const XML_DEPTH_MAX: usize = 16;
/// Most elements.
const XML_ELEMENTS_MAX: usize = 512;

/// An element of a body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// Empty: none.
    pub namespace: String,
    pub local: String,
}

/// The whole body, within the gateway's bounds of time and bytes.
pub async fn read(app: &App, body: Body) -> Result<Bytes, ErrorCode> {
    let reading = Limited::new(body, XML_BYTES_MAX).collect();
    match tokio::time::timeout(app.limits.body_timeout_s, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ErrorCode::AccountBodyTooLarge),
        Ok(Err(_)) => Err(ErrorCode::BrokenStream),
        Err(_elapsed) => Err(ErrorCode::RequestTimeout),
    }
}

/// The elements of a well-formed document in their order, each with its depth; the root's is 1.
pub fn elements(body: &[u8]) -> Result<Vec<(usize, Name)>, ErrorCode> {
    let mut config = ParserConfig::new();
    config.max_entity_expansion_length = XML_BYTES_MAX;
    config.allow_multiple_root_elements = false;
    let mut reader = config.create_reader(Cursor::new(body));
    let (mut elements, mut depth) = (Vec::new(), 0);
    // Each event takes at least one byte of the body, or ends it.
    loop {
        match reader.next().map_err(|_| ErrorCode::InvalidXml)? {
            XmlEvent::StartElement { name, .. } => {
                depth += 1;
                if depth > XML_DEPTH_MAX || elements.len() == XML_ELEMENTS_MAX {
                    return Err(ErrorCode::InvalidXml);
                }
                // The parser judges a name with its prefix, and answers repeat it without.
                if !name.local_name.starts_with(is_name_start) {
                    return Err(ErrorCode::InvalidXml);
                }
                let namespace = name.namespace.unwrap_or_default();
                elements.push((depth, Name { namespace, local: name.local_name }));
            }
            XmlEvent::EndElement { .. } => depth -= 1,
            XmlEvent::EndDocument => return Ok(elements),
            _ => {}
        }
    }
}

/// XML 1.0, production 4, without the colon.
fn is_name_start(character: char) -> bool {
    matches!(character,
        'A'..='Z' | '_' | 'a'..='z' | '\u{C0}'..='\u{D6}' | '\u{D8}'..='\u{F6}' | '\u{F8}'..='\u{2FF}'
        | '\u{370}'..='\u{37D}' | '\u{37F}'..='\u{1FFF}' | '\u{200C}'..='\u{200D}' | '\u{2070}'..='\u{218F}'
        | '\u{2C00}'..='\u{2FEF}' | '\u{3001}'..='\u{D7FF}' | '\u{F900}'..='\u{FDCF}' | '\u{FDF0}'..='\u{FFFD}'
        | '\u{10000}'..='\u{EFFFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_are_bounded_and_well_formed() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert_eq!(elements(nested(XML_DEPTH_MAX).as_bytes()).map(|found| found.len()), Ok(XML_DEPTH_MAX));
        let many = format!("<a>{}</a>", "<b/>".repeat(XML_ELEMENTS_MAX));
        for bad in [
            &*nested(XML_DEPTH_MAX + 1),
            &many,
            "",
            "<a>",
            "<a></b>",
            "<x:a/>",
            "<x:.a xmlns:x=\"y\"/>",
            "a",
            "<a/><a/>",
        ] {
            assert_eq!(elements(bad.as_bytes()), Err(ErrorCode::InvalidXml), "{bad:.40}");
        }
        let name = |namespace: &str, local: &str| Name { namespace: namespace.into(), local: local.into() };
        let found = elements(b"<D:a xmlns:D=\"DAV:\"><b/><D:c xmlns:D=\"x\"/></D:a>");
        assert_eq!(found, Ok(vec![(1, name("DAV:", "a")), (2, name("", "b")), (2, name("x", "c"))]));
    }
}
