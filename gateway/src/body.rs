//! Request bodies, read within bounds: of size, of time, and of bytes held by all requests together.

use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, EXPECT};
use http_body_util::BodyExt;
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};

use crate::cluster::ByteLease;

/// What is read and thrown away of a refused upload, so that the client sees the answer instead of a
/// reset: clients that do not wait for it have mostly sent this much.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// And for how long.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// A body that was read, or is too large for the log.
pub enum Upload {
    Inline(Bytes),
    /// What was read before that was known, in order, and what is to come.
    Large {
        head: Vec<Bytes>,
        rest: Body,
    },
}

/// The Content-Length header, when it is a number.
pub fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether the client sends its body only once it is asked for: when the body is first polled, the connection
/// answers `100 Continue`. So who refuses such a request leaves its body alone (RFC 9110 §10.1.1).
pub fn expects_continue(headers: &HeaderMap) -> bool {
    headers.get(EXPECT).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"100-continue"))
}

/// Reads at most an inline body. `lease` grows with what arrives.
pub async fn read_upload(
    body: Body,
    declared: Option<u64>,
    lease: &mut ByteLease,
    timeout: Duration,
) -> Result<Upload, ErrorCode> {
    if declared.is_some_and(|length| length > INLINE_BODY_BYTES_MAX as u64) {
        return Ok(Upload::Large { head: Vec::new(), rest: body });
    }
    tokio::time::timeout(timeout, collect(body, declared, lease))
        .await
        .unwrap_or(Err(ErrorCode::RequestTimeout))
}

async fn collect(mut body: Body, declared: Option<u64>, lease: &mut ByteLease) -> Result<Upload, ErrorCode> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ErrorCode::BrokenStream)?.into_data() else { continue };
        if first.len() + joined.len() + data.len() > INLINE_BODY_BYTES_MAX {
            return Ok(Upload::Large { head: vec![first, joined.freeze(), data], rest: body });
        }
        lease.grow(data.len())?;
        if first.is_empty() && joined.is_empty() {
            first = data;
            continue;
        }
        if joined.is_empty() {
            let expected = declared.map_or(0, |length| usize::try_from(length).unwrap_or(0));
            joined.reserve(expected.clamp(first.len() + data.len(), INLINE_BODY_BYTES_MAX));
            joined.put(std::mem::take(&mut first));
        }
        joined.put(data);
    }
    Ok(Upload::Inline(if joined.is_empty() { first } else { joined.freeze() }))
}

/// Reads on for a bounded while, keeping nothing.
pub async fn drain(mut body: Body) {
    let discard = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Running out of time is as good an end as any.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, discard).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::Admission;
    use futures::stream;

    const PATIENCE: Duration = Duration::from_secs(30);

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<Result<Bytes, std::io::Error>> =
            sizes.iter().map(|size| Ok(Bytes::from(vec![7; *size]))).collect();
        Body::from_stream(stream::iter(chunks))
    }

    async fn read(body: Body, declared: Option<u64>, pool: usize) -> Result<Option<usize>, ErrorCode> {
        let mut lease = Admission::new(1, pool, 0).bytes();
        Ok(match read_upload(body, declared, &mut lease, PATIENCE).await? {
            Upload::Inline(bytes) => Some(bytes.len()),
            Upload::Large { .. } => None,
        })
    }

    #[tokio::test]
    async fn bodies_up_to_the_bound_are_read_whole() {
        let max = INLINE_BODY_BYTES_MAX;
        assert_eq!(read(Body::empty(), Some(0), max).await, Ok(Some(0)));
        assert_eq!(read(chunks(&[max]), None, max).await, Ok(Some(max)));
        assert_eq!(read(chunks(&[1, 2, 0, 3]), Some(6), max).await, Ok(Some(6)));
        assert_eq!(read(chunks(&[max / 2, max / 2]), None, max).await, Ok(Some(max)));
        assert_eq!(read(chunks(&[max, 1]), None, 2 * max).await, Ok(None));
        assert_eq!(read(chunks(&[max + 1]), Some(max as u64 + 1), max).await, Ok(None));
    }

    #[tokio::test]
    async fn nothing_read_of_a_large_body_is_lost() {
        let max = INLINE_BODY_BYTES_MAX;
        for (sizes, came) in
            [(&[max, 1, 5][..], max + 1), (&[1, max - 1, 1, 5], max + 1), (&[max + 1, 5], max + 1)]
        {
            let mut lease = Admission::new(1, max, 0).bytes();
            let upload = read_upload(chunks(sizes), None, &mut lease, PATIENCE).await.expect("whole");
            let Upload::Large { head, rest } = upload else { panic!("{sizes:?}") };
            assert_eq!(head.iter().map(Bytes::len).sum::<usize>(), came);
            assert_eq!(rest.collect().await.expect("whole").to_bytes().len(), 5);
        }
    }

    #[tokio::test]
    async fn a_body_cut_short_is_a_broken_stream() {
        let parts = [Ok(Bytes::from_static(b"half")), Err(std::io::Error::other("gone"))];
        let body = Body::from_stream(stream::iter(parts));
        assert_eq!(read(body, Some(8), 64).await, Err(ErrorCode::BrokenStream));
    }

    #[tokio::test]
    async fn bytes_beyond_the_gateways_bound_are_refused() {
        assert_eq!(read(chunks(&[10]), None, 9).await, Err(ErrorCode::Overloaded));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_times_out() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(body, Some(5), 64).await, Err(ErrorCode::RequestTimeout));
    }
}
