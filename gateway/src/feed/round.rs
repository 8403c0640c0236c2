//! One round of asking for clocks: every node once, and again those that may know what is missing. It ends when every
//! shard is closed up to the newest event that was told; who calls it bounds its time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use rowhouse_proto::wire::feed::ClocksReply;
use rowhouse_proto::{Backoff, Spread};
use tokio::time::Instant;

use super::clocks::Clocks;
use crate::cluster::{Cluster, Map, Node};
use crate::respond::Rejection;

/// One question. A node answers within its own bound, or is asked again.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(1);
/// Others are asked for what a silent node may have led: a successor is elected within 600 ms.
const PATIENCE: Duration = Duration::from_millis(500);
/// First pause: a leader that hands over is replaced within milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// An election takes 400 to 600 ms.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Nodes by their uuids.
type Nodes = BTreeMap<Vec<u8>, Arc<Node>>;

/// What one round found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// The tick up to which all shards are closed: not below any event that was acknowledged before the round.
    pub frontier: u64,
    /// Shards that had to be closed for it.
    pub closed: usize,
}

/// A round under way.
pub struct Round<'a> {
    cluster: &'a Cluster,
    clocks: Clocks,
}

impl<'a> Round<'a> {
    /// Begins with nothing: what was told before the round says nothing of the writes since.
    pub fn new(cluster: &'a Cluster, map: &Map) -> Self {
        Self { cluster, clocks: Clocks::new(map.shard_count()) }
    }

    /// The tick of the newest event that was told of so far; 0: none.
    pub fn newest(&self) -> u64 {
        self.clocks.newest()
    }

    /// Asks until every shard is told of, then until all are closed up to the newest event. Without a node that can
    /// tell of a shard it never ends.
    pub async fn run(&mut self) -> Result<Found, Rejection> {
        let all = |map: &Map| map.nodes().map(by_uuid).collect();
        self.settle(0, all(&*self.cluster.map().await?)).await?;
        // Fixed here: events that are written meanwhile are for the next round.
        let tick = self.clocks.newest();
        let closed = self.clocks.missing(tick).count();
        if closed > 0 {
            let leaders = self.leaders(&*self.cluster.map().await?, tick);
            self.settle(tick, leaders).await?;
        }
        Ok(Found { frontier: self.clocks.frontier(), closed })
    }

    /// Asks `nodes`, and then whoever may lead what is missing, until every shard is told of as closed up to `tick`.
    async fn settle(&mut self, tick: u64, mut nodes: Nodes) -> Result<(), Rejection> {
        let mut pauses = Backoff::new(PAUSE_MIN, PAUSE_MAX, Spread::UpperHalf);
        let mut open = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        while self.clocks.missing(tick).next().is_some() {
            nodes.retain(|uuid, _| busy.insert(uuid.clone()));
            open.extend(nodes.values().map(|node| ask(self.cluster, Arc::clone(node), tick)));
            let until = Instant::now() + PATIENCE;
            while let Ok(Some((node, reply))) = tokio::time::timeout_at(until, open.next()).await {
                busy.remove(node.uuid());
                nodes.remove(node.uuid());
                self.hear(&node, reply).await?;
                if self.clocks.missing(tick).next().is_none() {
                    return Ok(());
                }
                if nodes.is_empty() {
                    break;
                }
            }
            tokio::time::sleep(pauses.pause(rand::random())).await;
            nodes = self.hosts(&*self.cluster.map().await?, tick);
        }
        Ok(())
    }

    /// Takes an answer. Who tells of a shard leads it: the requests that follow begin there.
    async fn hear(&mut self, node: &Node, reply: Option<ClocksReply>) -> Result<(), Rejection> {
        let Some(reply) = reply else { return Ok(()) };
        let map = self.cluster.map().await?;
        for clock in reply.clocks {
            if let Some(group) = map.group(clock.shard)
                && let Some(at) = group.position(node.uuid())
            {
                group.set_leader(at);
            }
            self.clocks.hear(clock);
        }
        Ok(())
    }

    /// The nodes that told of the shards that are missing.
    fn leaders(&self, map: &Map, tick: u64) -> Nodes {
        let groups = self.clocks.missing(tick).filter_map(|shard| map.group(shard));
        groups.filter_map(|group| group.places().get(group.leader()?)).map(by_uuid).collect()
    }

    /// All nodes with a replica of a shard that is missing.
    fn hosts(&self, map: &Map, tick: u64) -> Nodes {
        let groups = self.clocks.missing(tick).filter_map(|shard| map.group(shard));
        groups.flat_map(|group| group.places()).map(by_uuid).collect()
    }
}

fn by_uuid(node: &Arc<Node>) -> (Vec<u8>, Arc<Node>) {
    (node.uuid().to_vec(), Arc::clone(node))
}

/// `None`: it did not answer.
async fn ask(cluster: &Cluster, node: Arc<Node>, tick: u64) -> (Arc<Node>, Option<ClocksReply>) {
    let asked = tokio::time::timeout(ATTEMPT_TIMEOUT, cluster.clocks(&node, tick)).await;
    let reply = match asked {
        Ok(Ok(reply)) => Some(reply),
        Ok(Err(status)) => {
            tracing::debug!(node = node.address(), %status, "a node tells no clocks");
            None
        }
        Err(_elapsed) => None,
    };
    (node, reply)
}
