//! A stream that goes on with new events. It listens for marks before its first read, and reads whatever they tell of
//! from the shards, after the last event it had: history and news are one sequence, without a gap or a second event
//! between them, whatever leaders do.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream};
use rowhouse_proto::{Backoff, ErrorCode, Spread};
use tokio::time::{Instant, sleep, sleep_until, timeout, timeout_at};

use super::follow::{Follow, Listening};
use super::frames::{Due, Frames, Source};

/// Between two reads of one stream: marks that come meanwhile are read together.
const PAUSE: Duration = Duration::from_millis(20);
/// As long as a stream's reads find nothing, its pauses double up to this. The shard is busy with other users then.
const VAIN_PAUSE_MAX: Duration = Duration::from_millis(160);
const USERS_PACE: Pace =
    Pace { pause: PAUSE, vain_pause_max: VAIN_PAUSE_MAX, reread: Duration::from_secs(30) };
/// A session's end writes no event, so nothing tells of it: its stream asks for itself.
const PRIVATE_PACE: Pace = Pace { reread: Duration::from_secs(2), ..USERS_PACE };
/// A read of all shards costs a round of clocks.
const OPERATOR_PAUSE: Duration = Duration::from_millis(100);
/// A read of a shard that does not answer gives its turn to others after this: shards do not wait for each other.
const TURN_MAX: Duration = Duration::from_millis(250);
/// After a read that failed: the cluster was asked for 30 s already, or had no room.
const RETRY_PAUSE_MIN: Duration = Duration::from_millis(100);
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5);

/// How often a live stream reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// No sooner than this after the last read.
    pause: Duration,
    /// Or this, after reads that found nothing.
    vain_pause_max: Duration,
    /// And no later, also without a mark: those of a node that cannot be reached may be missing.
    reread: Duration,
}

impl Pace {
    /// Of a stream of users' events.
    pub fn of_users(is_private: bool) -> Self {
        if is_private { PRIVATE_PACE } else { USERS_PACE }
    }

    /// Of the operator's stream.
    pub const OPERATOR: Self =
        Self { pause: OPERATOR_PAUSE, vain_pause_max: OPERATOR_PAUSE, reread: USERS_PACE.reread };
}

/// A live stream between two pieces.
struct Live<S> {
    frames: Frames<S>,
    follow: Arc<Follow>,
    listening: Listening,
    pace: Pace,
    read_at: Instant,
    /// After the last read.
    pause: Duration,
    /// Something was found since the last wait.
    found: bool,
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
    let (read_at, pause) = (Instant::now(), pace.pause);
    let live = Live { frames, follow, listening, pace, read_at, pause, found: true, backoff };
    stream::unfold(live, |mut live| async move { live.next().await.map(|piece| (piece, live)) })
}

impl<S: Source> Live<S> {
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(piece) = self.frames.next() {
                self.found = true;
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
        let vain = (2 * self.pause).min(self.pace.vain_pause_max);
        self.pause = if std::mem::take(&mut self.found) { self.pace.pause } else { vain };
        let told = timeout_at(self.read_at + self.pace.reread, self.listening.risen()).await.is_ok();
        sleep_until(self.read_at + self.pause).await;
        let due = self.listening.take();
        if told { due } else { Due::Everywhere }
    }

    /// `None`: the shard refuses the stream, and nothing more may be told. Where it cannot answer, it is asked again.
    async fn read(&mut self) -> Option<()> {
        let answer = {
            // Never closed.
            let turn = self.follow.reads.acquire().await;
            let mut reading = pin!(self.frames.read());
            let answer = timeout(TURN_MAX, &mut reading).await;
            drop(turn);
            match answer {
                Ok(answer) => answer,
                Err(_elapsed) => reading.await,
            }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures::StreamExt;
    use futures::future::{join_all, select};
    use pubky_common::crypto::Keypair;
    use rowhouse_peer::Dialer;
    use rowhouse_proto::wire::feed::EventMark;
    use rowhouse_proto::wire::shard::EventRecord;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use crate::cluster::Cluster;
    use crate::feed::follow::READS_MAX;
    use crate::respond::Rejection;
    use crate::settings::Limits;

    const SHARD: u32 = 3;

    /// Counts its reads, and has an event once it was read so often.
    struct Scripted {
        reads: Arc<AtomicUsize>,
        event_after: usize,
        hangs: bool,
        resumed: bool,
    }

    impl Scripted {
        fn new(event_after: usize, hangs: bool) -> (Self, Arc<AtomicUsize>) {
            let reads = Arc::default();
            (Self { reads: Arc::clone(&reads), event_after, hangs, resumed: true }, reads)
        }
    }

    impl Source for Scripted {
        fn take(&mut self) -> Option<EventRecord> {
            let has = !self.resumed && self.reads.load(Ordering::Relaxed) >= self.event_after;
            has.then(EventRecord::default)
        }

        fn is_at_end(&self) -> bool {
            !self.resumed
        }

        fn resume(&mut self, _: Due) {
            self.resumed = true;
        }

        async fn read(&mut self, _: u32) -> Result<(), Rejection> {
            if self.hangs {
                std::future::pending::<()>().await;
            }
            self.reads.fetch_add(1, Ordering::Relaxed);
            self.resumed = false;
            Ok(())
        }
    }

    fn follow() -> Arc<Follow> {
        let key = Keypair::from_secret(&[7; 32]).public_key();
        let cluster = Arc::new(Cluster::new(&Limits::default(), Dialer::plaintext(), key));
        Arc::new(Follow::new(cluster, CancellationToken::new(), TaskTracker::new()))
    }

    fn stream(follow: &Arc<Follow>, source: Scripted, pace: Pace) -> impl Stream<Item = Bytes> + use<> {
        let listening = follow.listen([SHARD].into_iter());
        live_pieces(Frames::new(source, Some(1)), Arc::clone(follow), listening, pace)
    }

    #[tokio::test(start_paused = true)]
    async fn marks_that_come_in_between_are_read_together_and_none_are_waited_for_for_ever() {
        let follow = follow();
        let (source, reads) = Scripted::new(12, false);
        let start = Instant::now();
        let pieces = stream(&follow, source, Pace::of_users(false)).collect::<Vec<_>>();
        let marks = async {
            for last_event in 1..=1000 {
                sleep(Duration::from_millis(1)).await;
                // Late, and twice.
                for last_event in [last_event, last_event / 2, last_event] {
                    follow.hear(&[
                        EventMark { shard: SHARD, last_event },
                        EventMark { shard: 9, last_event: 7 },
                    ]);
                }
            }
            sleep(Duration::from_secs(29)).await;
            reads.load(Ordering::Relaxed)
        };
        let (pieces, by_marks) = tokio::join!(pieces, marks);
        // At 0, 20, 60, 140 and 300 ms, then every 160 ms.
        assert!((8..=11).contains(&by_marks), "{by_marks} reads of 3,000 marks in a second");
        assert_eq!(pieces.len(), 1);
        assert!(start.elapsed() >= USERS_PACE.reread, "nothing told of it");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_of_a_shard_that_hangs_leave_turns_to_others() {
        let follow = follow();
        let pace = Pace::of_users(false);
        let hanging = join_all((0..2 * READS_MAX).map(|_| {
            let pieces = stream(&follow, Scripted::new(1, true).0, pace);
            async move { pieces.count().await }
        }));
        let other = async {
            sleep(Duration::from_millis(1)).await;
            let pieces = stream(&follow, Scripted::new(1, false).0, pace);
            timeout(4 * TURN_MAX, pieces.count()).await
        };
        let (hanging, other) = (pin!(hanging), pin!(other));
        match select(other, hanging).await {
            futures::future::Either::Left((told, _)) => assert_eq!(told, Ok(1)),
            futures::future::Either::Right(_) => panic!("they hang"),
        }
    }
}
