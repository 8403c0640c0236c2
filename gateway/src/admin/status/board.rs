//! The last look at the cluster, which all viewers of the page share. A viewer that finds it old looks again, while the
//! others wait for that: nobody asks the nodes while nobody looks, and never more than once at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowhouse_proto::wire::meta::ClusterMap;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::look::look;
use super::snapshot::{Snapshot, shown};
use crate::cluster::Cluster;
use crate::overview::{Interval, Report, interval, rates, report};

/// People see what is new within about this.
pub const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A look this young is not repeated. It began a little after its viewer's beat: a whole beat would skip every other.
const YOUNG: Duration = Duration::from_millis(900);
/// Open streams: some people with some windows. Each costs a connection, and not one question more.
const VIEWERS_MAX: usize = 16;
/// Rates compare looks no further apart than this.
const COMPARED_MAX: Duration = Duration::from_secs(30);

/// One for each gateway.
pub struct Board {
    cluster: Arc<Cluster>,
    viewers: Arc<Semaphore>,
    last: Mutex<Option<Look>>,
}

/// One look, and what it became.
struct Look {
    at: Instant,
    /// `None` before the first map.
    seen: Option<Seen>,
    /// By the part of the map that they show, as far as viewers asked for it.
    events: BTreeMap<usize, Bytes>,
}

struct Seen {
    map: ClusterMap,
    report: Report,
    interval: Interval,
}

impl Look {
    fn event(&mut self, part: usize) -> Bytes {
        let Some(Seen { report, interval, .. }) = &self.seen else {
            return Snapshot::without_a_map().event();
        };
        let part = shown(report, part);
        let event = self.events.entry(part).or_insert_with(|| Snapshot::new(report, interval, part).event());
        event.clone()
    }
}

impl Board {
    /// Asks nothing before somebody looks.
    pub fn new(cluster: Arc<Cluster>) -> Self {
        Self { cluster, viewers: Arc::new(Semaphore::new(VIEWERS_MAX)), last: Mutex::default() }
    }

    /// A place among the viewers, until it is dropped; `None` if there are `VIEWERS_MAX`.
    pub fn enter(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.viewers).try_acquire_owned().ok()
    }

    /// The present as one server-sent event, no older than `YOUNG`, with this part of the map.
    pub async fn event(&self, part: usize) -> Bytes {
        // Whoever waits here wants what is being asked: a viewer that leaves meanwhile lets the next one ask.
        let mut last = self.last.lock().await;
        if let Some(look) = last.as_mut().filter(|look| look.at.elapsed() < YOUNG) {
            return look.event(part);
        }
        let next = self.look_again(last.as_ref()).await;
        last.insert(next).event(part)
    }

    async fn look_again(&self, before: Option<&Look>) -> Look {
        let at = Instant::now();
        let known = before.and_then(|before| Some((before.at, before.seen.as_ref()?)));
        let Some(view) = look(&self.cluster, known.map(|(_, seen)| &seen.map)).await else {
            return Look { at, seen: None, events: BTreeMap::new() };
        };
        let now = report(&view);
        let compared = known.filter(|(then, _)| at.duration_since(*then) <= COMPARED_MAX);
        let (seconds, rates) = match compared {
            Some((then, before)) => {
                let seconds = at.duration_since(then).as_secs_f64();
                (seconds, rates(&before.report, &now, seconds))
            }
            None => (0.0, BTreeMap::new()),
        };
        let interval = interval(&now, &rates, seconds);
        Look { at, seen: Some(Seen { map: view.map, report: now, interval }), events: BTreeMap::new() }
    }
}
