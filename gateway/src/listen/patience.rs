//! The clock on a client: a request head that has begun must end, and a response must be taken.
//! HTTP's own idle timeout cannot tell a client that rests from one that dribbles.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use rowhouse_proto::CHUNK_BYTES;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// While a client accepts `CHUNK_BYTES`, it may stall for at most this many write timeouts in total. The chunk
/// occupies memory that other clients need.
const STALL_TIMEOUTS: u32 = 4;

/// Whether a request is being answered, shared between a connection's service and its stream.
#[derive(Clone, Default)]
pub struct Phase(Arc<AtomicBool>);

/// A request is being answered while this lives.
pub struct Busy(Phase);

impl Phase {
    /// Marks a request as being answered while the result lives.
    pub fn busy(&self) -> Busy {
        self.0.store(true, Ordering::Relaxed);
        Busy(self.clone())
    }

    fn is_busy(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Relaxed);
    }
}

/// A stream that fails with `TimedOut` when its client stalls beyond the bounds.
pub struct Patience<S> {
    inner: S,
    phase: Phase,
    head_timeout: Duration,
    write_timeout: Duration,
    /// Runs from the first byte of a head.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client accepts nothing.
    write: Option<Pin<Box<Sleep>>>,
    stalled_since: Option<Instant>,
    /// Time for which the client accepted nothing, while it accepted the last `taken` bytes.
    stalled: Duration,
    taken: usize,
}

impl<S> Patience<S> {
    /// `head_timeout` runs from a head's first byte, `write_timeout` from the moment the client stops accepting
    /// bytes.
    pub fn new(inner: S, phase: Phase, head_timeout: Duration, write_timeout: Duration) -> Self {
        Self {
            inner,
            phase,
            head_timeout,
            write_timeout,
            head: None,
            write: None,
            stalled_since: None,
            stalled: Duration::ZERO,
            taken: 0,
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Patience<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let read = Pin::new(&mut this.inner).poll_read(cx, buf);
        if this.phase.is_busy() {
            this.head = None;
            return read;
        }
        if read.is_pending() {
            return expired(&mut this.head, cx, "request head took too long");
        }
        if buf.filled().len() > before {
            let started = this.head.get_or_insert_with(|| Box::pin(sleep(this.head_timeout)));
            if started.deadline() <= Instant::now() {
                return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "request head took too long")));
            }
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Patience<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<Result<usize>> {
        let this = self.get_mut();
        this.head = None;
        match Pin::new(&mut this.inner).poll_write(cx, data) {
            Poll::Ready(written) => {
                this.took(written.as_ref().copied().unwrap_or(0));
                Poll::Ready(written)
            }
            Poll::Pending => this.stalls(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let this = self.get_mut();
        this.head = None;
        match Pin::new(&mut this.inner).poll_write_vectored(cx, data) {
            Poll::Ready(written) => {
                this.took(written.as_ref().copied().unwrap_or(0));
                Poll::Ready(written)
            }
            Poll::Pending => this.stalls(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_flush(cx) {
            Poll::Ready(flushed) => {
                this.took(0);
                Poll::Ready(flushed)
            }
            Poll::Pending => this.stalls(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S> Patience<S> {
    fn stalls<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        self.stalled_since.get_or_insert_with(Instant::now);
        let left = (STALL_TIMEOUTS * self.write_timeout).saturating_sub(self.stalled);
        let patience = left.min(self.write_timeout);
        self.write.get_or_insert_with(|| Box::pin(sleep(patience)));
        expired(&mut self.write, cx, "client takes no response, or too slowly")
    }

    fn took(&mut self, bytes: usize) {
        self.write = None;
        self.stalled += self.stalled_since.take().map_or(Duration::ZERO, |since| since.elapsed());
        self.taken += bytes;
        if self.taken >= CHUNK_BYTES {
            (self.taken, self.stalled) = (0, Duration::ZERO);
        }
    }
}

/// Pending until the clock, if it runs, has run out.
fn expired<T>(
    clock: &mut Option<Pin<Box<Sleep>>>,
    cx: &mut Context<'_>,
    why: &'static str,
) -> Poll<Result<T>> {
    match clock.as_mut().map(|clock| clock.as_mut().poll(cx)) {
        Some(Poll::Ready(())) => Poll::Ready(Err(Error::new(ErrorKind::TimedOut, why))),
        Some(Poll::Pending) | None => Poll::Pending,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    const HEAD: Duration = Duration::from_secs(15);
    const WRITE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn a_head_that_dribbles_times_out_and_an_idle_client_does_not() {
        let (near, mut far) = duplex(64);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let mut byte = [0];
        let idle = tokio::time::timeout(HEAD * 10, stream.read(&mut byte)).await;
        assert!(idle.is_err(), "still waiting");
        far.write_all(b"G").await.expect("open");
        stream.read_exact(&mut byte).await.expect("first byte");
        let late = stream.read(&mut byte).await.expect_err("no second byte");
        assert_eq!(late.kind(), ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn one_byte_now_and_then_does_not_extend_the_time() {
        let (near, mut far) = duplex(64);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let mut byte = [0];
        let mut reads = 0;
        for _ in 0..100 {
            far.write_all(b"x").await.expect("open");
            if stream.read_exact(&mut byte).await.is_err() {
                break;
            }
            reads += 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert!((10..=16).contains(&reads), "{reads}");
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_are_not_timed_here() {
        let (near, mut far) = duplex(64);
        let phase = Phase::default();
        let mut stream = Patience::new(near, phase.clone(), HEAD, WRITE);
        let mut byte = [0];
        far.write_all(b"G").await.expect("open");
        stream.read_exact(&mut byte).await.expect("head");
        let busy = phase.busy();
        assert!(tokio::time::timeout(HEAD * 10, stream.read(&mut byte)).await.is_err());
        drop(busy);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_nothing_is_given_up() {
        let (near, _far) = duplex(8);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let stalled = stream.write_all(&[0; 64]).await.expect_err("buffer is full");
        assert_eq!(stalled.kind(), ErrorKind::TimedOut);
    }

    /// The bytes that a client accepts of an endless response, reading `bytes` each second, and how it ended.
    async fn taken_at(bytes: usize, seconds: u32, flushed: bool) -> (usize, Option<ErrorKind>) {
        let (near, mut far) = duplex(8 * 1024);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let writing = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 4096]).await {
                    return error.kind();
                }
                if flushed && let Err(error) = stream.flush().await {
                    return error.kind();
                }
            }
        };
        let (mut taken, mut portion) = (0, vec![0; bytes]);
        let reading = async {
            for _ in 0..seconds {
                tokio::time::sleep(Duration::from_secs(1)).await;
                taken += far.read_exact(&mut portion).await.expect("open");
            }
        };
        let given_up = tokio::select! {
            given_up = writing => Some(given_up),
            () = reading => None,
        };
        (taken, given_up)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_dribbles_is_given_up_and_a_slow_one_is_not() {
        let patience = STALL_TIMEOUTS * u32::try_from(WRITE.as_secs()).expect("seconds");
        for flushed in [false, true] {
            let (taken, given_up) = taken_at(1024, 10 * patience, flushed).await;
            assert_eq!(given_up, Some(ErrorKind::TimedOut));
            assert!(taken < 2 * 1024 * patience as usize, "{taken}");
            let slow = 2 * CHUNK_BYTES / patience as usize;
            assert_eq!(taken_at(slow, 10 * patience, flushed).await.1, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_response_may_be_made_slowly_for_ever() {
        let (near, mut far) = duplex(64);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let mut event = [0; 16];
        for _ in 0..100 {
            tokio::time::sleep(WRITE).await;
            stream.write_all(&event).await.expect("taken at once");
            stream.flush().await.expect("taken at once");
            far.read_exact(&mut event).await.expect("open");
        }
    }
}
