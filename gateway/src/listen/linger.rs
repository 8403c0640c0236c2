//! A last look at what a client still sends, when its connection is closed although its request was not read to the end.
//!
//! A client that writes all of its body before it reads would meet a reset instead of the refusal, since a socket that
//! is closed over unread bytes is reset. So the gateway closes its own half first, and throws away what still comes
//! (RFC 9112 §9.6, docs/rules/protocol.md#refusals-can-be-read).

use std::io::Result;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// Most bytes that are thrown away: few clients send more than this before they look for an answer.
const LINGER_BYTES_MAX: usize = 128 * 1024 * 1024;
/// Longest time for it: those bytes at the speed of an ordinary line.
const LINGER_TIMEOUT: Duration = Duration::from_secs(30);
/// A client that sends nothing for so long has stopped, or waits for more than it will get.
const LINGER_SILENCE: Duration = Duration::from_secs(3);
/// Thrown away at once.
const SCRAP_BYTES: usize = 8 * 1024;

/// Whether the last request of a connection was left before its end; shared between its body and its stream.
#[derive(Clone, Default)]
pub struct Leftover(Arc<AtomicBool>);

impl Leftover {
    /// The body of the next request, which is noted here if it is dropped before its end.
    pub fn watch<B: Body>(&self, body: B) -> Watched<B> {
        self.0.store(false, Ordering::Relaxed);
        Watched { body, ended: false, leftover: self.clone() }
    }

    fn is_left(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// The body of a request; see `Leftover`.
pub struct Watched<B: Body> {
    body: B,
    ended: bool,
    leftover: Leftover,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(cx));
        this.ended |= frame.is_none();
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B: Body> Drop for Watched<B> {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            self.leftover.0.store(true, Ordering::Relaxed);
        }
    }
}

/// A stream whose shutdown, after a request that was left, ends when its client has closed, or at a bound.
pub struct Linger<S> {
    inner: S,
    leftover: Leftover,
    lingering: Option<Lingering>,
}

struct Lingering {
    bytes_left: usize,
    until: Instant,
    silence: Pin<Box<Sleep>>,
}

impl<S> Linger<S> {
    /// `leftover` is that of the stream's requests.
    pub fn new(inner: S, leftover: Leftover) -> Self {
        Self { inner, leftover, lingering: None }
    }
}

impl<S: AsyncRead + Unpin> Linger<S> {
    /// Ready when nothing more is to be thrown away.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            bytes_left: LINGER_BYTES_MAX,
            until: Instant::now() + LINGER_TIMEOUT,
            silence: Box::pin(sleep(LINGER_SILENCE)),
        });
        let mut scrap = [0; SCRAP_BYTES];
        loop {
            let mut buf = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.inner).poll_read(cx, &mut buf) {
                Poll::Pending => return lingering.silence.as_mut().poll(cx),
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {}
            }
            let came = buf.filled().len();
            let now = Instant::now();
            match lingering.bytes_left.checked_sub(came) {
                Some(left) if came > 0 && now < lingering.until => lingering.bytes_left = left,
                _ => return Poll::Ready(()),
            }
            lingering.silence.as_mut().reset((now + LINGER_SILENCE).min(lingering.until));
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Linger<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Linger<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write(cx, data)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        Pin::new(&mut self.get_mut().inner).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            ready!(Pin::new(&mut this.inner).poll_shutdown(cx))?;
            if !this.leftover.is_left() {
                return Poll::Ready(Ok(()));
            }
        }
        this.poll_discard(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, Full};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    const PIECE: [u8; 1024] = [0; 1024];

    /// The server's stream after a request whose body was left, or not, and the client's.
    fn streams(left: bool) -> (Linger<DuplexStream>, DuplexStream) {
        let (near, far) = duplex(64 * 1024);
        let leftover = Leftover::default();
        if left {
            drop(leftover.watch(Full::new(Bytes::from_static(b"body"))));
        }
        (Linger::new(near, leftover), far)
    }

    #[tokio::test]
    async fn a_body_is_left_unless_it_was_read_to_its_end() {
        let leftover = Leftover::default();
        let whole = leftover.watch(Full::new(Bytes::from_static(b"body")));
        assert_eq!(whole.collect().await.expect("a body").to_bytes(), "body");
        assert!(!leftover.is_left());
        drop(leftover.watch(Full::new(Bytes::from_static(b"body"))));
        assert!(leftover.is_left());
        drop(leftover.watch(Full::new(Bytes::new())));
        assert!(!leftover.is_left(), "there was nothing to read");
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_client_still_sends_is_taken_until_it_closes() {
        let (mut near, mut far) = streams(true);
        near.write_all(b"refused").await.expect("open");
        let sending = async {
            for _ in 0..1000 {
                far.write_all(&PIECE).await.expect("it is taken");
            }
            let mut answer = Vec::new();
            far.read_to_end(&mut answer).await.expect("an answer and its end");
            drop(far);
            answer
        };
        let (shut, answer) = tokio::join!(near.shutdown(), sending);
        shut.expect("closed");
        assert_eq!(answer, b"refused");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_sent_everything_is_not_waited_for() {
        let (mut near, _far) = streams(false);
        let began = Instant::now();
        near.shutdown().await.expect("closed");
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_time_and_bytes_are_bounded() {
        let (mut near, far) = streams(true);
        let began = Instant::now();
        near.shutdown().await.expect("closed");
        assert_eq!(began.elapsed(), LINGER_SILENCE);
        drop(far);

        let (mut near, mut far) = streams(true);
        let dribbling = async {
            while far.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let began = Instant::now();
        tokio::select! {
            shut = near.shutdown() => shut.expect("closed"),
            () = dribbling => panic!("the other side is open"),
        }
        assert_eq!(began.elapsed(), LINGER_TIMEOUT);

        let (mut near, mut far) = streams(true);
        let mut sent = 0;
        let flooding = async {
            while far.write_all(&[0; SCRAP_BYTES]).await.is_ok() {
                sent += SCRAP_BYTES;
            }
        };
        tokio::select! {
            shut = near.shutdown() => shut.expect("closed"),
            () = flooding => panic!("the other side is open"),
        }
        assert!((LINGER_BYTES_MAX..LINGER_BYTES_MAX + 128 * 1024).contains(&sent), "{sent}");
    }
}
