//! Tokens of locks in `If` and `Lock-Token` (RFC 4918 §10.4, §10.5). Pure.
//!
//! A token counts wherever it stands in `If`. Tagged resources, `Not` and entity tags are not evaluated. A header that
//! names no lock's token demands something else of the path, and that cannot be shown to hold: no lock matches it.

use bytes::Bytes;
use http::HeaderMap;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::entry::LockTokens;
use uuid::Uuid;

const SCHEME: &str = "opaquelocktoken:";
const IF: &str = "if";
const LOCK_TOKEN: &str = "lock-token";
/// Most tokens of one head.
const TOKENS_MAX: usize = 64;

/// The tokens that a head presents, of those that a lock can have; `None` without `If`. Too many are refused as
/// `InvalidParameter`.
pub fn if_tokens(headers: &HeaderMap) -> Result<Option<LockTokens>, ErrorCode> {
    let mut lines = headers.get_all(IF).iter().peekable();
    if lines.peek().is_none() {
        return Ok(None);
    }
    let mut tokens = Vec::new();
    for line in lines {
        let text = String::from_utf8_lossy(line.as_bytes());
        tokens.extend(coded_urls(&text).filter_map(token));
    }
    if tokens.len() > TOKENS_MAX {
        return Err(ErrorCode::InvalidParameter);
    }
    Ok(Some(LockTokens { tokens }))
}

/// The token to give up, in angle brackets or bare; `None` for a head that names none. It is empty if no lock can have
/// it.
pub fn unlock_token(headers: &HeaderMap) -> Option<Bytes> {
    let value = headers.get(LOCK_TOKEN)?.to_str().ok()?;
    let url = coded_urls(value).next().unwrap_or_else(|| value.trim());
    url.strip_prefix(SCHEME).map(|_| token(url).unwrap_or_default())
}

/// The token as clients see it, with its scheme.
pub fn format_token(token: &[u8]) -> String {
    Uuid::from_slice(token).map(|uuid| format!("{SCHEME}{uuid}")).unwrap_or_default()
}

fn token(url: &str) -> Option<Bytes> {
    let text = url.strip_prefix(SCHEME)?;
    // As it was told: the other forms that a UUID may have are other tokens.
    let uuid = Uuid::try_parse(text).ok().filter(|uuid| uuid.to_string().eq_ignore_ascii_case(text))?;
    Some(Bytes::copy_from_slice(uuid.as_bytes()))
}

/// What stands in angle brackets, in order.
fn coded_urls(text: &str) -> impl Iterator<Item = &str> {
    text.split('<').skip(1).filter_map(|part| part.split_once('>')).map(|(url, _)| url.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "opaquelocktoken:00000000-0000-4000-8000-000000000001";
    const TWO: &str = "opaquelocktoken:00000000-0000-4000-8000-000000000002";

    fn last_bytes(lines: &[&str]) -> Option<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(IF, line.parse().expect("a value"));
        }
        let tokens = if_tokens(&headers).expect("few")?.tokens;
        Some(tokens.iter().map(|token| token[15]).collect())
    }

    #[test]
    fn tokens_count_wherever_they_stand() {
        assert_eq!(last_bytes(&[]), None);
        for (line, expected) in [
            (format!("(<{ONE}>)"), vec![1]),
            (format!("<http://x/a> (Not <{ONE}> [\"etag\"]) (<{TWO}>) (<urn:other>)"), vec![1, 2]),
            (format!("(< {ONE} >)"), vec![1]),
            (format!("(<{}>)", ONE.replace("opaquelocktoken:", "OPAQUELOCKTOKEN:")), vec![]),
            (format!("(<{ONE}"), vec![]),
            ("([\"etag\"])".into(), vec![]),
            ("(<opaquelocktoken:x>)".into(), vec![]),
            ("(<opaquelocktoken:00000000000040008000000000000001>)".into(), vec![]),
            (String::new(), vec![]),
        ] {
            assert_eq!(last_bytes(&[&line]), Some(expected), "{line}");
        }
        assert_eq!(last_bytes(&[&format!("(<{TWO}>)"), &format!("(<{ONE}>)")]), Some(vec![2, 1]));
        let many = format!("(<{ONE}>)").repeat(TOKENS_MAX + 1);
        let headers =
            HeaderMap::from_iter([(http::HeaderName::from_static(IF), many.parse().expect("value"))]);
        assert_eq!(if_tokens(&headers), Err(ErrorCode::InvalidParameter));
    }

    #[test]
    fn a_token_is_given_up_in_brackets_or_bare() {
        let named = |value: &str| {
            let headers = HeaderMap::from_iter([(
                http::HeaderName::from_static(LOCK_TOKEN),
                value.parse().expect("value"),
            )]);
            unlock_token(&headers).map(|token| format_token(&token))
        };
        assert_eq!(named(&format!("<{ONE}>")).as_deref(), Some(ONE));
        assert_eq!(named(&format!(" {TWO} ")).as_deref(), Some(TWO));
        assert_eq!(named("<opaquelocktoken:abc>").as_deref(), Some(""), "no lock can have it");
        for none in ["<urn:uuid:abc>", "", "00000000-0000-4000-8000-000000000001"] {
            assert_eq!(named(none), None, "{none}");
        }
        assert_eq!(unlock_token(&HeaderMap::new()), None);
    }
}
