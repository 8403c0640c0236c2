//! `StreamBody`: the body of an event stream. It is polled when its connection has room, so a stream has no task and no
//! queue of its own.
//!
//! A slow client is given up by its connection (`listen/patience.rs`): after 30 s without taking a byte, or when a
//! megabyte takes it four times as long. The stream adds no bound of events behind: what was not sent yet lies in the
//! shards' logs and nowhere here, so a client that is behind costs nothing, and catches up. What it has at hand is one
//! page, which is admitted by its bytes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::sse::KEEP_ALIVE;
use super::stream_metrics::METRICS;
use crate::reference_metrics::StreamConnection;

/// Idleness after which a comment is sent.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// The pieces of an event stream, and comments between them while it rests.
pub struct StreamBody {
    pieces: BoxStream<'static, Result<Bytes, axum::Error>>,
    rest: Pin<Box<Sleep>>,
    live: Option<Live>,
    ended: bool,
    _counted: StreamConnection,
}

/// What only live streams have.
struct Live {
    stop: Pin<Box<WaitForCancellationFutureOwned>>,
    /// How long the connection waits for a client that takes nothing.
    patience: Duration,
    /// When the last piece was handed out, until the next one is asked for: the client has not taken it all.
    untaken_since: Option<Instant>,
}

impl StreamBody {
    /// Ends when its pieces end, and breaks off at an error.
    pub fn batch(pieces: impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static) -> Self {
        Self {
            pieces: pieces.boxed(),
            rest: Box::pin(sleep(KEEP_ALIVE_INTERVAL)),
            live: None,
            ended: false,
            _counted: StreamConnection::open(),
        }
    }

    /// Ends with a proper last chunk at `stop` too: the client goes on with its cursors at another gateway. `patience`
    /// is the connection's, to tell whom it cut.
    pub fn live(
        pieces: impl Stream<Item = Bytes> + Send + 'static,
        stop: CancellationToken,
        patience: Duration,
    ) -> Self {
        METRICS.live.add(1, &[]);
        let live = Live { stop: Box::pin(stop.cancelled_owned()), patience, untaken_since: None };
        let mut body = Self::batch(pieces.map(Ok));
        body.live = Some(live);
        body
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        if let Some(live) = &mut self.live {
            live.untaken_since = None;
            if live.stop.as_mut().poll(cx).is_ready() {
                return Poll::Ready(None);
            }
        }
        if let Poll::Ready(next) = self.pieces.poll_next_unpin(cx) {
            return Poll::Ready(next);
        }
        ready!(self.rest.as_mut().poll(cx));
        Poll::Ready(Some(Ok(KEEP_ALIVE)))
    }
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        if this.ended {
            return Poll::Ready(None);
        }
        let piece = ready!(this.poll_piece(cx));
        this.ended = !matches!(piece, Some(Ok(_)));
        let now = Instant::now();
        this.rest.as_mut().reset(now + KEEP_ALIVE_INTERVAL);
        if let Some(live) = &mut this.live {
            live.untaken_since = Some(now);
        }
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        let Some(live) = &self.live else { return };
        METRICS.live.add(-1, &[]);
        // The connection's clock may have begun to run with an earlier piece.
        let is_cut = live.untaken_since.is_some_and(|since| since.elapsed() >= live.patience / 2);
        if is_cut && !self.ended {
            METRICS.slow_cut.add(1, &[]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use http_body_util::BodyExt;

    async fn next(body: &mut StreamBody) -> Option<Bytes> {
        let frame = body.frame().await?.expect("no error");
        Some(frame.into_data().expect("data"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_comment_is_sent_after_15_seconds_of_idleness() {
        let event = Duration::from_secs(20);
        let pieces = stream::unfold(0, move |count: u32| async move {
            tokio::time::sleep(event).await;
            (count < 2).then(|| (Bytes::from_static(b"event"), count + 1))
        });
        let start = Instant::now();
        let mut body = StreamBody::live(pieces, CancellationToken::new(), KEEP_ALIVE_INTERVAL);
        let mut told = Vec::new();
        while let Some(piece) = next(&mut body).await {
            told.push((start.elapsed().as_secs(), piece));
        }
        let event = Bytes::from_static(b"event");
        let expected =
            [(15, KEEP_ALIVE), (20, event.clone()), (35, KEEP_ALIVE), (40, event), (55, KEEP_ALIVE)];
        assert_eq!(told, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stopping_gateway_ends_it_and_a_batch_goes_on() {
        let stop = CancellationToken::new();
        let mut live = StreamBody::live(stream::pending(), stop.clone(), KEEP_ALIVE_INTERVAL);
        assert_eq!(next(&mut live).await, Some(KEEP_ALIVE));
        stop.cancel();
        assert_eq!(next(&mut live).await, None);
        assert_eq!(next(&mut live).await, None);
        let mut broken = StreamBody::batch(stream::iter([Ok(KEEP_ALIVE), Err(axum::Error::new("lost"))]));
        assert_eq!(next(&mut broken).await, Some(KEEP_ALIVE));
        assert!(broken.frame().await.expect("not the end").is_err());
        assert!(broken.frame().await.is_none());
    }
}
