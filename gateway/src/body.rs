//! Request bodies, read within bounds: of size, of time, and of bytes held by all requests together.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Body as HttpBody, Frame, SizeHint};
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

/// A body whose bytes count against the gateway's bound while it is being read.
pub struct Metered {
    inner: Body,
    lease: ByteLease,
}

impl Metered {
    pub fn new(inner: Body, lease: ByteLease) -> Self {
        Self { inner, lease }
    }
}

impl HttpBody for Metered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
            && self.lease.grow(data.len()).is_err()
        {
            return Poll::Ready(Some(Err(axum::Error::new("too many bytes in flight"))));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// A response body that holds its share of the bound until it is written or its client is gone.
pub struct Held {
    data: Bytes,
    _lease: ByteLease,
}

impl Held {
    pub fn new(data: Bytes, lease: ByteLease) -> Self {
        Self { data, _lease: lease }
    }
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let data = std::mem::take(&mut self.data);
        Poll::Ready((!data.is_empty()).then(|| Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
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
        let metered = Metered::new(chunks(&[5, 5]), Admission::new(1, 9, 0).bytes());
        assert!(Body::new(metered).collect().await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_times_out() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(read(body, Some(5), 64).await, Err(ErrorCode::RequestTimeout));
    }
}
