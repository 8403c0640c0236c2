//! Headers on every answer of `/dav`. A user's file is sent from the operator's own origin, where a browser may have
//! the password: no file may run there (docs/webdav.md#files-in-a-browser).

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderValue};
use rowhouse_proto::wire::shard::Entry;

use crate::etag::etag;
use crate::respond::NO_STORE;

const NOSNIFF: HeaderValue = HeaderValue::from_static("nosniff");
/// Nothing is loaded, and a page has an origin of its own.
const SANDBOX: HeaderValue = HeaderValue::from_static("default-src 'none'; sandbox");

/// Adds what keeps a browser from running anything.
pub async fn harmless(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(X_CONTENT_TYPE_OPTIONS, NOSNIFF);
    headers.insert(CONTENT_SECURITY_POLICY, SANDBOX);
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, NO_STORE);
    }
    response
}

/// Whether a change may be made to the file that is there, or to nothing: `If-Match` and `If-None-Match`.
pub fn conditions_hold(headers: &HeaderMap, found: Option<&Entry>) -> bool {
    let tag = found.map(|entry| etag(&entry.hash));
    let names = |values: &mut dyn Iterator<Item = &HeaderValue>| {
        values.filter_map(|value| value.to_str().ok()).any(|value| {
            value.split(',').map(str::trim).any(|one| match &tag {
                Some(tag) => one == "*" || one == tag,
                None => false,
            })
        })
    };
    let wanted = !headers.contains_key(http::header::IF_MATCH)
        || names(&mut headers.get_all(http::header::IF_MATCH).iter());
    let unwanted = names(&mut headers.get_all(http::header::IF_NONE_MATCH).iter());
    wanted && !unwanted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_about_the_file_that_is_there() {
        let entry = Entry { hash: vec![1; 32].into(), ..Entry::default() };
        let tag = etag(&entry.hash);
        let holds = |name: &'static str, value: &str, found: Option<&Entry>| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(name),
                value.parse().expect("a value"),
            )]);
            conditions_hold(&headers, found)
        };
        assert!(conditions_hold(&HeaderMap::new(), None));
        for (value, with, without) in
            [("*", true, false), (&*tag, true, false), ("\"x\"", false, false), ("\"x\", *", true, false)]
        {
            assert_eq!(holds("if-match", value, Some(&entry)), with, "{value}");
            assert_eq!(holds("if-match", value, None), without, "{value}");
            assert_eq!(holds("if-none-match", value, Some(&entry)), !with, "{value}");
            assert!(holds("if-none-match", value, None), "{value}");
        }
    }
}
