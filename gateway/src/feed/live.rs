//! A stream that goes on with new events. It listens for marks before its first read, and reads whatever they tell of
//! from the shards, after the last event it had: history and news are one sequence, without a gap or a second event
//! between them, whatever leaders do.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use rowhouse_proto::{Backoff, ErrorCode, Spread};
use tokio::time::{Instant, sleep, sleep_until, timeout_at};

use super::follow::{Follow, Listening};
use super::frames::{Due, Frames, Source};

/// Between two reads of one stream: marks that come meanwhile are read together.
const USERS_PACE: Pace = Pace { pause: Duration::from_millis(20), reread: Duration::from_secs(30) };
/// A session's end writes no event, so nothing tells of it: its stream asks for itself.
const PRIVATE_PACE: Pace = Pace { pause: Duration::from_millis(20), reread: Duration::from_secs(2) };
/// A read of all shards costs a round of clocks.
const OPERATOR_PACE: Pace = Pace { pause: Duration::from_millis(100), reread: Duration::from_secs(30) };
/// After a read that failed: the cluster was asked for 30 s already, or had no room.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a live stream reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// No sooner than this after the last read.
    pause: Duration,
    /// And no later, also without a mark: those of a node that cannot be reached may be missing.
    reread: Duration,
}

impl Pace {
    /// Of a stream of users' events.
    pub fn of_users(is_private: bool) -> Self {
        if is_private { PRIVATE_PACE } else { USERS_PACE }
    }

    /// Of the operator's stream.
    pub const OPERATOR: Self = OPERATOR_PACE;
}

/// A live stream between two pieces.
struct Live<S> {
    frames: Frames<S>,
    follow: Arc<Follow>,
    listening: Listening,
    pace: Pace,
    read_at: Instant,
    backoff: Backoff,
}

/// The pieces of a live stream, until its limit is reached or a shard refuses it. `listening` began before the first
/// page was read.
pub fn live_pieces<S: Source>(
    frames: Frames<S>,
    follow: Arc<Follow>,
    listening: Listening,
    pace: Pace,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let backoff = Backoff::new(RETRY_PAUSE_MIN, RETRY_PAUSE_MAX, Spread::UpperHalf);
    let live = Live { frames, follow, listening, pace, read_at: Instant::now(), backoff };
    stream::unfold(live, |mut live| async move { live.next().await.map(|piece| (piece, live)) })
}

impl<S: Source> Live<S> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.frames.next() {
                return Some(piece);
            }
            if self.frames.is_over() {
                return None;
            }
            if self.frames.is_at_end() {
                let due = self.due().await;
                self.frames.resume(due);
            }
            // Boxed: thousands of streams wait, and few read.
            Box::pin(self.read()).await?;
        }
    }

    /// Waits for a reason to read.
    async fn due(&mut self) -> Due {
        let told = timeout_at(self.read_at + self.pace.reread, self.listening.risen()).await.is_ok();
        sleep_until(self.read_at + self.pace.pause).await;
        let due = self.listening.take();
        if told { due } else { Due::Everywhere }
    }

    /// `None`: the shard refuses the stream, and nothing more may be told. Where it cannot answer, it is asked again.
    async fn read(&mut self) -> Option<()> {
        let answer = {
            // Never closed.
            let _turn = self.follow.reads.acquire().await;
            self.frames.read().await
        };
        self.read_at = Instant::now();
        match answer {
            Ok(()) => self.backoff.reset(),
            Err(refused) if refused.code().is_transient() || refused.code() == ErrorCode::Internal => {
                sleep(self.backoff.pause(rand::random())).await;
            }
            Err(refused) => {
                tracing::debug!(code = ?refused.code(), "a live stream ends");
                return None;
            }
        }
        Some(())
    }
}
