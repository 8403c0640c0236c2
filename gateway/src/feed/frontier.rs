//! `Frontier`: the tick up to which all shards are closed, as far as this gateway knows, and the rounds that find it
//! (docs/rules/feed.md#frontier). Rounds run in one task, which lives while somebody asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::lock::lock;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use super::metrics;
use super::round::{Found, Round};
use crate::cluster::Cluster;
use crate::respond::Rejection;

/// A barrier that takes longer is refused (docs/rules/feed.md#barrier-times-out). Three elections take less.
const BARRIER_TIMEOUT: Duration = Duration::from_secs(2);
/// Between the beginnings of two rounds: readers that come meanwhile share the next.
const ROUND_INTERVAL: Duration = Duration::from_millis(25);
/// Closing costs a log entry a shard: for one gateway a node writes no more than 4,000 of them a second
/// (docs/decisions/016).
const CLOSE_INTERVAL: Duration = Duration::from_micros(250);

/// What became of a round; `None` until it has ended.
type Outcome = Option<Result<u64, Rejection>>;

/// The frontier of one gateway.
pub struct Frontier {
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

struct Shared {
    cluster: Arc<Cluster>,
    known: AtomicU64,
    /// Tick of the newest event that a node told of; 0: none.
    newest: AtomicU64,
    rounds: Mutex<Rounds>,
}

#[derive(Default)]
struct Rounds {
    /// The next round, once somebody waits for it.
    next: Option<watch::Sender<Outcome>>,
    /// Runs rounds while there is a next one.
    task: Option<JoinHandle<()>>,
}

impl Frontier {
    /// Nothing is known yet.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        let shared =
            Shared { cluster, known: AtomicU64::new(0), newest: AtomicU64::new(0), rounds: Mutex::default() };
        Self { shared: Arc::new(shared), tasks: TaskTracker::new() }
    }

    /// The highest tick up to which all shards were ever seen closed; 0 before the first round. It never falls.
    pub fn known(&self) -> u64 {
        self.shared.known.load(Ordering::Acquire)
    }

    /// A barrier: the tick up to which all shards are closed, and no event that was acknowledged before the call is
    /// above it. `Unavailable` when a shard does not answer in time.
    pub async fn fresh(&self) -> Result<u64, Rejection> {
        let mut outcome = self.join();
        let ended = tokio::time::timeout(BARRIER_TIMEOUT, outcome.wait_for(Option::is_some)).await;
        match ended {
            Ok(Ok(outcome)) => outcome.clone().unwrap_or_else(|| Err(ErrorCode::Unavailable.into())),
            // Time is up, or the round's task is gone.
            Err(_) | Ok(Err(_)) => Err(ErrorCode::Unavailable.into()),
        }
    }

    /// Joins the next round to begin. One that is under way may have passed a shard before it was written to.
    fn join(&self) -> watch::Receiver<Outcome> {
        let mut rounds = lock(&self.shared.rounds);
        let next = rounds.next.get_or_insert_with(|| watch::Sender::new(None)).subscribe();
        if rounds.task.as_ref().is_none_or(JoinHandle::is_finished) {
            rounds.task = Some(self.tasks.spawn(run(Arc::clone(&self.shared))));
        }
        next
    }
}

/// Runs one round after the other until nobody waits for another.
async fn run(shared: Arc<Shared>) {
    while let Some(next) = shared.begin() {
        let began = Instant::now();
        let ended = tokio::time::timeout(BARRIER_TIMEOUT, shared.round()).await;
        let ended = ended.unwrap_or_else(|_| Err(ErrorCode::Unavailable.into()));
        let interval = ended.as_ref().map_or(ROUND_INTERVAL, |(_, interval)| *interval);
        next.send_replace(Some(ended.map(|(frontier, _)| frontier)));
        tokio::time::sleep_until(began + interval).await;
    }
}

/// The pause from the beginning of a round that closed so many shards to the next one.
fn interval(closed: usize, nodes: usize) -> Duration {
    let each = u32::try_from(closed.div_ceil(nodes.max(1))).unwrap_or(u32::MAX);
    ROUND_INTERVAL.max(CLOSE_INTERVAL.saturating_mul(each))
}

impl Shared {
    /// The round that begins now: who comes later is for the next. `None`: nobody waits, and the task ends.
    fn begin(&self) -> Option<watch::Sender<Outcome>> {
        let mut rounds = lock(&self.rounds);
        let next = rounds.next.take();
        if next.is_none() {
            rounds.task = None;
        }
        next
    }

    /// The frontier, and the time from this round's beginning to the next.
    async fn round(&self) -> Result<(u64, Duration), Rejection> {
        let map = self.cluster.map().await?;
        let mut watched = Watched { shared: self, round: Round::new(&self.cluster, &map), found: None };
        let found = watched.round.run().await?;
        watched.found = Some(found);
        self.known.fetch_max(found.frontier, Ordering::AcqRel);
        Ok((self.known.load(Ordering::Acquire), interval(found.closed, map.nodes().count())))
    }
}

/// A round whose end is measured, also when its time is up in the midst of it.
struct Watched<'a> {
    shared: &'a Shared,
    round: Round<'a>,
    found: Option<Found>,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let newest = self.round.newest();
        let newest = self.shared.newest.fetch_max(newest, Ordering::Relaxed).max(newest);
        let known = self.shared.known.load(Ordering::Acquire);
        let shard_count = self.shared.cluster.map_now().map_or(0, |map| map.shard_count());
        metrics::round_ended(self.found.map(|found| found.closed));
        metrics::frontier_lags(shard_count, newest, known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_that_close_many_shards_are_further_apart() {
        assert_eq!(interval(0, 3), ROUND_INTERVAL);
        assert_eq!(interval(64, 3), ROUND_INTERVAL);
        assert_eq!(interval(4096, 4), Duration::from_millis(256));
        assert_eq!(interval(4096, 100), ROUND_INTERVAL);
        assert_eq!(interval(100, 0), ROUND_INTERVAL);
    }
}
