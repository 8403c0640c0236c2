//! The event clocks of the shards that this node leads, and closing those that are behind
//! (docs/rules/feed.md#frontier).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream;
use prost::Message;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::command::{Close, Command, command::Body};
use rowhouse_proto::wire::feed::ShardClock;
use rowhouse_raft::GroupId;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tracing::debug;

use crate::clock::Stamp;
use crate::local::Local;
use crate::peers::Cluster;
use crate::proposal::propose;
use crate::{Error, Group, meta, read};

/// A shard that cannot answer by then, or be closed, is left out: the gateway asks again.
const ANSWER_DEADLINE: Duration = Duration::from_millis(1500);
/// Shards asked at once. A lease is looked at and a row is read; only closing waits for anything.
const SHARDS_AT_ONCE: usize = 256;
/// Locks that let one caller at a time close a shard; shards share them by number.
const CLOSING_LOCKS: usize = 64;
/// A shard in use passes a time by its next write. It is given so long before an entry is written only for that.
const TRAFFIC_WAIT: Duration = Duration::from_millis(3);

/// Answers for the shards led from here.
pub struct Clocks {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    /// Callers that want a shard closed wait for each other, and mostly find it done: one entry serves them all.
    closing: Vec<Mutex<()>>,
}

impl Clocks {
    /// One for each node.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>) -> Self {
        let closing = std::iter::repeat_with(Mutex::default).take(CLOSING_LOCKS).collect();
        Self { local, cluster, closing }
    }

    /// The clocks of all shards led from here, those below `tick` closed up to it first. A shard that cannot be asked
    /// or closed in time is missing.
    pub async fn told(&self, tick: u64) -> Vec<ShardClock> {
        let led = self
            .local
            .host
            .groups()
            .into_iter()
            .filter(|group| group.id() != meta::GROUP && group.is_leader());
        let asked = led.map(|group| async move {
            let told = timeout(ANSWER_DEADLINE, self.of_shard(&group, tick)).await;
            told.unwrap_or_else(|_| {
                debug!(shard = group.id(), "the shard's clock was not told in time");
                None
            })
        });
        stream::iter(asked).buffer_unordered(SHARDS_AT_ONCE).filter_map(std::future::ready).collect().await
    }

    async fn of_shard(&self, group: &Group, tick: u64) -> Option<ShardClock> {
        group.read_barrier().await.ok()?;
        if let Some(clock) = clock_of(group)?.told(tick) {
            return Some(in_reply(group, clock));
        }
        if group.has_unapplied() {
            tokio::time::sleep(TRAFFIC_WAIT).await;
        }
        let _alone = self.closing[lock_of(group.id())].lock().await;
        if let Some(clock) = clock_of(group)?.told(tick) {
            return Some(in_reply(group, clock));
        }
        if let Err(error) = self.close(group, tick).await {
            debug!(shard = group.id(), %error, "the shard was not closed");
            return None;
        }
        // Applied here, because the proposal was answered.
        Some(in_reply(group, clock_of(group)?.told(tick)?))
    }

    /// Closes the shard up to `tick`, and up to this node's own clock: another gateway's time is mostly below that.
    async fn close(&self, group: &Group, tick: u64) -> Result<(), Error> {
        let Stamp { hlc_us, now_ms } = self.local.clock.stamp()?;
        let ids = EventIds::new(self.cluster.view.map().shard_count);
        let t = ids.map_or(tick, |ids| tick.max(ids.tick(hlc_us)));
        let command = Command {
            version: self.cluster.view.command_version(),
            hlc_us,
            now_ms,
            body: Some(Body::Close(Close { t })),
            ..Command::default()
        };
        let proposed = propose(group, command.encode_to_vec().into(), Bytes::new()).await;
        proposed.map(drop).map_err(|error| Error::Close(error.to_string()))
    }
}

fn lock_of(shard: GroupId) -> usize {
    usize::from(shard) % CLOSING_LOCKS
}

/// As the last applied command left it. `None` if it cannot be read.
fn clock_of(group: &Group) -> Option<read::ShardClock> {
    let clock = group.read_latest(read::clock);
    clock
        .inspect_err(|error| tracing::error!(shard = group.id(), %error, "the shard's clock cannot be read"))
        .ok()
}

fn in_reply(group: &Group, clock: read::ShardClock) -> ShardClock {
    ShardClock { shard: group.id().into(), closed: clock.closed_t, last_event: clock.last_event_t }
}
