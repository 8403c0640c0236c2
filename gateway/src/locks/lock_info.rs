//! The body of a LOCK: the kind of lock that is asked for (RFC 4918 §14.11).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rowhouse_proto::ErrorCode;

/// Real bodies have a few hundred bytes.
const LOCK_INFO_BYTES_MAX: usize = 16 * 1024;

/// Refuses a body that asks for another lock than the one there is: exclusive, for writes. An empty body asks for that.
pub async fn check_lock_info(body: Body, timeout: Duration) -> Result<(), ErrorCode> {
    let body = read(body, timeout).await?;
    if body.is_empty() || is_exclusive_write(&body) { Ok(()) } else { Err(ErrorCode::UnsupportedLock) }
}

async fn read(body: Body, timeout: Duration) -> Result<Bytes, ErrorCode> {
    match tokio::time::timeout(timeout, Limited::new(body, LOCK_INFO_BYTES_MAX).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(ErrorCode::LockInfoTooLarge),
        Ok(Err(_)) => Err(ErrorCode::BrokenStream),
        Err(_elapsed) => Err(ErrorCode::RequestTimeout),
    }
}

/// Whether a body asks for an exclusive lock for writes. Elements count by their local names, whatever their namespaces and places: clients differ in both, and nothing else
/// of the document matters.
pub fn is_exclusive_write(body: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(body) else { return false };
    let has = |wanted: &str| text.split('<').skip(1).any(|tag| local_name(tag) == wanted);
    has("exclusive") && has("write") && !has("shared")
}

/// The name of the element that begins here, without its prefix.
fn local_name(tag: &str) -> &str {
    let end = tag.find(|character: char| character == '/' || character == '>' || character.is_whitespace());
    let name = &tag[..end.unwrap_or(tag.len())];
    name.rsplit(':').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK_INFO: &str = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                             <D:locktype><D:write/></D:locktype></D:lockinfo>";

    #[tokio::test]
    async fn only_exclusive_locks_for_writes_are_granted() {
        let long = format!("{LOCK_INFO}{}", " ".repeat(LOCK_INFO_BYTES_MAX));
        for (body, expected) in [
            ("", Ok(())),
            (LOCK_INFO, Ok(())),
            (&LOCK_INFO.replace("D:", "x:"), Ok(())),
            ("<exclusive ></exclusive><write\n/>", Ok(())),
            (&LOCK_INFO.replace("exclusive", "shared"), Err(ErrorCode::UnsupportedLock)),
            (&LOCK_INFO.replace("<D:write/>", ""), Err(ErrorCode::UnsupportedLock)),
            (&format!("{LOCK_INFO}<D:shared/>"), Err(ErrorCode::UnsupportedLock)),
            ("exclusive write", Err(ErrorCode::UnsupportedLock)),
            ("<", Err(ErrorCode::UnsupportedLock)),
            (&long, Err(ErrorCode::LockInfoTooLarge)),
        ] {
            let checked = check_lock_info(Body::from(body.to_owned()), Duration::from_secs(9)).await;
            assert_eq!(checked, expected, "{body:.80}");
        }
        assert!(!is_exclusive_write(b"<exclusive/><write/>\xFF"));
    }
}
