//! The answer to a LOCK that is granted or refreshed (RFC 4918 §9.10.1), to the byte as the reference has it.

use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode};
use rowhouse_proto::ErrorCode;

use crate::conditions::format_token;
use crate::escape::push_escaped;
use crate::respond::with_body;

const XML: HeaderValue = HeaderValue::from_static("application/xml; charset=utf-8");
const TIMEOUT: HeaderName = HeaderName::from_static("timeout");
const LOCK_TOKEN: HeaderName = HeaderName::from_static("lock-token");

/// 200 with the lock. `root` is the request's path as it was sent; only a new lock's token is a header as well.
pub fn lock_response(token: &[u8], root: &str, timeout_s: u32, is_new: bool) -> Result<Response, ErrorCode> {
    let token = format_token(token);
    let mut response = with_body(StatusCode::OK, XML, lock_discovery(&token, root, timeout_s));
    let mut insert = |name: HeaderName, value: String| {
        let value = HeaderValue::try_from(value).map_err(|_| ErrorCode::Internal)?;
        response.headers_mut().insert(name, value);
        Ok::<_, ErrorCode>(())
    };
    insert(TIMEOUT, format!("Second-{timeout_s}"))?;
    if is_new {
        insert(LOCK_TOKEN, format!("<{token}>"))?;
    }
    Ok(response)
}

fn lock_discovery(token: &str, root: &str, timeout_s: u32) -> String {
    let mut href = String::with_capacity(root.len());
    push_escaped(&mut href, root);
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><D:prop xmlns:D=\"DAV:\"><D:lockdiscovery><D:activelock>\
         <D:locktype><D:write/></D:locktype><D:lockscope><D:exclusive/></D:lockscope><D:depth>0</D:depth>\
         <D:timeout>Second-{timeout_s}</D:timeout><D:locktoken><D:href>{token}</D:href></D:locktoken>\
         <D:lockroot><D:href>{href}</D:href></D:lockroot></D:activelock></D:lockdiscovery></D:prop>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_told_in_one_line_of_xml() {
        let token = [0x11; 16];
        let response = lock_response(&token, "/storage/k/pub/a%20&b", 7, true).expect("a response");
        let header =
            |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        assert_eq!(header("timeout").as_deref(), Some("Second-7"));
        let named = header("lock-token").expect("a new lock");
        assert_eq!(named, "<opaquelocktoken:11111111-1111-1111-1111-111111111111>");
        let refreshed = lock_response(&token, "/", 7, false).expect("a response");
        assert!(!refreshed.headers().contains_key("lock-token"));
        let xml = lock_discovery("opaquelocktoken:t", "/a&b", 7);
        assert_eq!(
            xml,
            r#"<?xml version="1.0" encoding="utf-8"?><D:prop xmlns:D="DAV:"><D:lockdiscovery><D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:exclusive/></D:lockscope><D:depth>0</D:depth><D:timeout>Second-7</D:timeout><D:locktoken><D:href>opaquelocktoken:t</D:href></D:locktoken><D:lockroot><D:href>/a&amp;b</D:href></D:lockroot></D:activelock></D:lockdiscovery></D:prop>"#
        );
    }
}
