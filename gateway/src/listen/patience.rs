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

/// Patiences in which a client that falls behind must take `CHUNK_BYTES`, or all there is: what waits for it
/// holds room that others wait for.
const PORTION_TIMEOUTS: u32 = 4;

/// Whether a request is being answered, shared between a connection's service and its stream.
#[derive(Clone, Default)]
pub struct Phase(Arc<AtomicBool>);

/// A request is being answered while this lives.
pub struct Busy(Phase);

impl Phase {
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

const TOO_SLOW: &str = "client takes the response too slowly";

pub struct Patience<S> {
    inner: S,
    phase: Phase,
    head_timeout: Duration,
    write_timeout: Duration,
    /// Runs from the first byte of a head.
    head: Option<Pin<Box<Sleep>>>,
    /// Runs while the client takes nothing.
    write: Option<Pin<Box<Sleep>>>,
    /// Runs from the first byte the client did not take at once.
    portion: Option<Pin<Box<Sleep>>>,
    /// Taken since it runs.
    taken: usize,
}

impl<S> Patience<S> {
    pub fn new(inner: S, phase: Phase, head_timeout: Duration, write_timeout: Duration) -> Self {
        Self { inner, phase, head_timeout, write_timeout, head: None, write: None, portion: None, taken: 0 }
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
            Poll::Ready(written) => this.took(cx, written),
            Poll::Pending => this.stalled(cx),
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
            Poll::Ready(written) => this.took(cx, written),
            Poll::Pending => this.stalled(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_flush(cx) {
            Poll::Ready(flushed) => {
                this.write = None;
                this.portion = None;
                Poll::Ready(flushed)
            }
            Poll::Pending => this.stalled(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

impl<S> Patience<S> {
    fn stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<Result<T>> {
        let timeout = self.write_timeout;
        self.write.get_or_insert_with(|| Box::pin(sleep(timeout)));
        if self.portion.is_none() {
            self.portion = Some(Box::pin(sleep(PORTION_TIMEOUTS * timeout)));
            self.taken = 0;
        }
        match expired(&mut self.write, cx, "client takes no response") {
            Poll::Pending => expired(&mut self.portion, cx, TOO_SLOW),
            given_up @ Poll::Ready(_) => given_up,
        }
    }

    fn took(&mut self, cx: &mut Context<'_>, written: Result<usize>) -> Poll<Result<usize>> {
        self.write = None;
        self.taken += written.as_ref().copied().unwrap_or(0);
        if self.taken >= CHUNK_BYTES {
            self.portion = None;
        }
        match expired(&mut self.portion, cx, TOO_SLOW) {
            Poll::Pending => Poll::Ready(written),
            given_up @ Poll::Ready(_) => given_up,
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

    /// What a client took that reads `bytes` each second, of a response without end.
    async fn taken_at(bytes: usize, seconds: u32) -> (usize, Option<ErrorKind>) {
        let (near, mut far) = duplex(8 * 1024);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let writing = async {
            loop {
                if let Err(error) = stream.write_all(&[0; 4096]).await {
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
        let patience = PORTION_TIMEOUTS * u32::try_from(WRITE.as_secs()).expect("seconds");
        let (taken, given_up) = taken_at(1024, 10 * patience).await;
        assert_eq!(given_up, Some(ErrorKind::TimedOut));
        assert!(taken < 2 * 1024 * patience as usize, "{taken}");
        assert_eq!(taken_at(2 * CHUNK_BYTES / patience as usize, 10 * patience).await.1, None);
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_all_there_is_in_time_may_be_slow_for_ever() {
        let (near, mut far) = duplex(8);
        let mut stream = Patience::new(near, Phase::default(), HEAD, WRITE);
        let reading = async {
            loop {
                tokio::time::sleep(WRITE / 2).await;
                if far.read_exact(&mut [0; 8]).await.is_err() {
                    return;
                }
            }
        };
        let writing = async {
            for _ in 0..32 {
                stream.write_all(&[0; 16]).await.expect("taken in time");
                stream.flush().await.expect("taken in time");
            }
        };
        tokio::select! {
            () = reading => panic!("the stream was closed"),
            () = writing => {}
        }
    }
}
