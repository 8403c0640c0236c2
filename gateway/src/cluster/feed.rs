//! The questions of the event feed: clocks of one node, and events of many shards from as few nodes as possible. Any
//! replica that is closed far enough may tell events, so a shard is asked for elsewhere before it is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rowhouse_proto::wire::feed::{ClocksReply, ClocksRequest, PageReply, PageRequest};
use rowhouse_proto::{Backoff, ErrorCode, Spread, WIRE_VERSION};
use tokio::time::Instant;

use super::metrics::{UNANSWERED, given_up, retried};
use super::{Call, Cluster, Map, Node};
use crate::respond::Rejection;

/// One read of at most 1000 events. A node that takes longer is given up for another.
const READ_TIMEOUT: Duration = Duration::from_secs(2);
/// Fewest events asked of a node: another question costs more than some events too many.
const SHARE_MIN: u32 = 64;
/// First pause: a replica is behind its leader by milliseconds.
const PAUSE_MIN: Duration = Duration::from_millis(10);
/// As for other requests of a shard that nobody leads.
const PAUSE_MAX: Duration = Duration::from_millis(100);

impl Cluster {
    /// The clocks of the shards that a node leads. Those below `tick` are closed up to it first.
    pub async fn clocks(&self, node: &Node, tick: u64) -> Result<ClocksReply, tonic::Status> {
        let request = ClocksRequest { version: WIRE_VERSION, tick };
        let reply = node.feed().clocks(request).await?.into_inner();
        // Every round asks every node: one that was silent is asked for events again once it answers here.
        node.answered(true);
        self.clock.observe(reply.hlc);
        Ok(reply)
    }

    /// Events of these shards, one answer for each node that was asked: together they cover every shard once. `request`
    /// comes without shards. `Unavailable` when the call's time is up.
    pub async fn read_events(
        &self,
        call: &Call,
        shards: &BTreeSet<u32>,
        request: PageRequest,
        whom: Whom,
    ) -> Result<Vec<PageReply>, Rejection> {
        let order = Order { whom, salt: rand::random() };
        let mut search = Search { wanted: shards.clone(), tried: BTreeMap::new(), order };
        let mut pauses = Backoff::new(PAUSE_MIN, PAUSE_MAX, Spread::UpperHalf);
        let mut replies = Vec::new();
        while !search.wanted.is_empty() {
            let map = self.map().await?;
            let (parts, is_complete) = search.plan(&map);
            let request = PageRequest { limit: share(request.limit, parts.len()), ..request.clone() };
            let asked = parts.into_iter().map(|part| self.read(call, part, &request));
            for (part, reply) in join_all(asked).await {
                replies.extend(search.take(&map, part, reply));
            }
            if !is_complete {
                let pause = pauses.pause(rand::random());
                if Instant::now() + pause >= call.deadline {
                    given_up();
                    return Err(ErrorCode::Unavailable.into());
                }
                retried(UNANSWERED);
                tokio::time::sleep(pause).await;
            }
        }
        Ok(replies)
    }

    async fn read(&self, call: &Call, part: Part, request: &PageRequest) -> (Part, Option<PageReply>) {
        let request = PageRequest { shards: part.shards.clone(), ..request.clone() };
        let until = call.deadline.min(Instant::now() + READ_TIMEOUT);
        let mut feed = part.node.feed();
        let reply = match tokio::time::timeout_at(until, feed.page(request)).await {
            Ok(Ok(reply)) => {
                let reply = reply.into_inner();
                self.clock.observe(reply.hlc);
                Some(reply)
            }
            Ok(Err(status)) => {
                tracing::debug!(node = part.node.address(), %status, "a node tells no events");
                None
            }
            Err(_elapsed) => None,
        };
        part.node.answered(reply.is_some());
        (part, reply)
    }
}

/// Events that each of so many nodes is asked for. Together they have a quarter more than the page, because none has
/// exactly its share; what is missing then is asked for once more.
fn share(limit: u32, nodes: usize) -> u32 {
    let nodes = u32::try_from(nodes).unwrap_or(u32::MAX).max(1);
    (limit.saturating_mul(5) / nodes.saturating_mul(4)).max(SHARE_MIN).min(limit)
}

/// Who is asked for a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whom {
    /// Those who lead: nobody knows of an entry earlier.
    Leaders,
    /// Any that have replicas, and as few as possible: an answer costs more than its events.
    Fewest,
}

/// What one node is asked for.
struct Part {
    node: Arc<Node>,
    shards: Vec<u32>,
}

/// The shards that nobody has told of yet.
struct Search {
    wanted: BTreeSet<u32>,
    /// By shard the uuids of the nodes that could not tell of it.
    tried: BTreeMap<u32, BTreeSet<Vec<u8>>>,
    order: Order,
}

/// The order in which a shard's replicas are asked.
struct Order {
    whom: Whom,
    /// Another one for each page, so that all nodes get their part of the pages.
    salt: u64,
}

impl Search {
    /// Whom to ask for what, in the search's order, but none twice. `false`: there are shards that every replica was
    /// asked for. They are asked for anew in the next plan.
    fn plan(&mut self, map: &Map) -> (Vec<Part>, bool) {
        let mut parts: BTreeMap<&[u8], Part> = BTreeMap::new();
        let mut is_complete = true;
        for shard in &self.wanted {
            let tried = self.tried.get(shard);
            match self.order.first(map, *shard, |node| tried.is_none_or(|tried| !tried.contains(node.uuid())))
            {
                Some(node) => {
                    let part = || Part { node: Arc::clone(node), shards: Vec::new() };
                    parts.entry(node.uuid()).or_insert_with(part).shards.push(*shard);
                }
                None => {
                    is_complete = false;
                    self.tried.remove(shard);
                }
            }
        }
        (parts.into_values().collect(), is_complete)
    }

    /// Takes what a node answered. `None` for an answer without events: it could not tell of all that it was asked for.
    fn take(&mut self, map: &Map, part: Part, reply: Option<PageReply>) -> Option<PageReply> {
        let missing = match &reply {
            None => &part.shards,
            Some(reply) => &reply.behind,
        };
        for shard in missing {
            self.tried.entry(*shard).or_default().insert(part.node.uuid().to_vec());
            if reply.is_none()
                && let Some(group) = map.group(*shard)
                && let Some(at) = group.position(part.node.uuid())
            {
                group.forget_leader(at);
            }
        }
        let reply = reply.filter(|reply| reply.behind.is_empty())?;
        for shard in &part.shards {
            self.wanted.remove(shard);
        }
        Some(reply)
    }
}

impl Order {
    /// The replica to ask, of those that may know.
    fn first<'m>(&self, map: &'m Map, shard: u32, may_know: impl Fn(&Node) -> bool) -> Option<&'m Arc<Node>> {
        let group = map.group(shard)?;
        let replicas = group.replicas().iter().filter(|node| may_know(node));
        match self.whom {
            Whom::Fewest => replicas.min_by_key(|node| self.rank(node)),
            Whom::Leaders => {
                let leader = group.leader().and_then(|at| group.places().get(at));
                leader.filter(|node| may_know(node)).or_else(|| replicas.min_by_key(|node| self.rank(node)))
            }
        }
    }

    /// Those that answer first; then a random number, the same for all shards: they choose the same nodes where they can.
    fn rank(&self, node: &Node) -> (bool, u64) {
        let mut hasher = DefaultHasher::new();
        (self.salt, node.uuid()).hash(&mut hasher);
        (node.is_silent(), hasher.finish())
    }
}
