//! Bodies small enough for the log, read within bounds: of size, of time, and of bytes held by all requests
//! together.

use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::BodyExt;
use rowhouse_proto::{ErrorCode, INLINE_BODY_BYTES_MAX};

use crate::cluster::ByteLease;

/// A body that was read, or turned out to be too large for the log.
pub enum Received {
    /// All of it, at most `INLINE_BODY_BYTES_MAX` bytes.
    Inline(Bytes),
    /// The pieces that were read before that was known, in order, and the body that is to come.
    Large { head: Vec<Bytes>, rest: Body },
}

/// Reads at most an inline body. `lease` grows with the bytes that arrive. Refuses a body that breaks off, takes
/// longer than `timeout`, or finds no room in memory.
pub async fn read_inline(
    body: Body,
    declared: Option<u64>,
    lease: &mut ByteLease,
    timeout: Duration,
) -> Result<Received, ErrorCode> {
    if declared.is_some_and(|length| length > INLINE_BODY_BYTES_MAX as u64) {
        return Ok(Received::Large { head: Vec::new(), rest: body });
    }
    tokio::time::timeout(timeout, collect(body, declared, lease))
        .await
        .unwrap_or(Err(ErrorCode::RequestTimeout))
}

async fn collect(
    mut body: Body,
    declared: Option<u64>,
    lease: &mut ByteLease,
) -> Result<Received, ErrorCode> {
    let mut first = Bytes::new();
    let mut joined = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| ErrorCode::BrokenStream)?.into_data() else { continue };
        if first.len() + joined.len() + data.len() > INLINE_BODY_BYTES_MAX {
            return Ok(Received::Large { head: vec![first, joined.freeze(), data], rest: body });
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
    Ok(Received::Inline(if joined.is_empty() { first } else { joined.freeze() }))
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
        Ok(match read_inline(body, declared, &mut lease, PATIENCE).await? {
            Received::Inline(bytes) => Some(bytes.len()),
            Received::Large { .. } => None,
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
            let received = read_inline(chunks(sizes), None, &mut lease, PATIENCE).await.expect("whole");
            let Received::Large { head, rest } = received else { panic!("{sizes:?}") };
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
