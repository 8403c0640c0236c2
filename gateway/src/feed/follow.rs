//! `Follow`: what the nodes tell of news, once for all live streams of this gateway. While anybody listens it keeps one
//! stream of marks to every node of the map. A mark is a hint that there is something to read, and never an event: one
//! that is late, comes twice or is lost costs a read or some time, and no order or completeness.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowhouse_proto::domain::slot::SHARD_COUNT_MAX;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::feed::{EventMark, FollowRequest};
use rowhouse_proto::{Backoff, Spread, WIRE_VERSION};
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::frames::Due;
use crate::cluster::{Cluster, Node};

/// Opening a node's stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// A node says at least every 10 s that its stream lives: three of those missed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Pauses between attempts at a node. Its replicas' marks mostly come from other nodes too.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// Live streams that read at once. One write may wake thousands, which must leave room for requests.
pub const READS_MAX: usize = 256;

/// The marks of all shards, and who waits for them.
pub struct Follow {
    cluster: Arc<Cluster>,
    /// Nothing is followed, and live streams end, from then on.
    pub stop: CancellationToken,
    /// Taken by a live stream while it reads.
    pub reads: Semaphore,
    tasks: TaskTracker,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    shards: BTreeMap<u32, Shard>,
    /// Who listens to all shards.
    everywhere: BTreeMap<u64, Arc<Notify>>,
    /// Counts marks that rose.
    risen: u64,
    listeners: usize,
    next: u64,
    /// The actor runs until it is dropped.
    following: Option<DropGuard>,
}

#[derive(Default)]
struct Shard {
    /// Tick of the newest event that was told of.
    mark: u64,
    listeners: BTreeMap<u64, Arc<Notify>>,
}

impl Follow {
    /// `tasks` are waited for when the gateway stops.
    pub fn new(cluster: Arc<Cluster>, stop: CancellationToken, tasks: TaskTracker) -> Self {
        let reads = Semaphore::new(READS_MAX);
        Self { cluster, stop, reads, tasks, state: Mutex::default() }
    }

    /// Listens to some shards while the result lives.
    pub fn listen(self: &Arc<Self>, shards: impl Iterator<Item = u32>) -> Listening {
        let heard = Heard::Shards(shards.map(|shard| (shard, 0)).collect());
        self.listen_to(heard)
    }

    /// Listens to all shards while the result lives.
    pub fn listen_everywhere(self: &Arc<Self>) -> Listening {
        self.listen_to(Heard::Everywhere(0))
    }

    fn listen_to(self: &Arc<Self>, heard: Heard) -> Listening {
        let wake = Arc::new(Notify::new());
        let mut state = lock(&self.state);
        let id = state.next;
        state.next += 1;
        match &heard {
            Heard::Everywhere(_) => {
                state.everywhere.insert(id, Arc::clone(&wake));
            }
            Heard::Shards(shards) => {
                for (shard, _) in shards {
                    state.shards.entry(*shard).or_default().listeners.insert(id, Arc::clone(&wake));
                }
            }
        }
        state.listeners += 1;
        if state.following.is_none() && !self.stop.is_cancelled() {
            let end = self.stop.child_token();
            self.tasks.spawn(follow_map(Arc::clone(self), end.clone()));
            state.following = Some(end.drop_guard());
        }
        drop(state);
        let mut listening = Listening { follow: Arc::clone(self), id, wake, heard };
        // What was told before is in the first read.
        listening.take();
        listening
    }

    /// Takes what a node tells.
    pub fn hear(&self, marks: &[EventMark]) {
        let mut state = lock(&self.state);
        let mut any = false;
        for EventMark { shard, last_event } in marks.iter().filter(|mark| mark.shard < SHARD_COUNT_MAX) {
            let shard = state.shards.entry(*shard).or_default();
            if *last_event > shard.mark {
                shard.mark = *last_event;
                shard.listeners.values().for_each(|listener| listener.notify_one());
                any = true;
            }
        }
        if any {
            state.risen += 1;
            state.everywhere.values().for_each(|listener| listener.notify_one());
        }
    }
}

/// One listener: it hears of marks that rise above those it has taken.
pub struct Listening {
    follow: Arc<Follow>,
    id: u64,
    wake: Arc<Notify>,
    heard: Heard,
}

enum Heard {
    Everywhere(u64),
    /// Shards with the marks that were taken.
    Shards(Vec<(u32, u64)>),
}

impl Listening {
    /// Takes the marks as they are now, and says where they have risen. A read that begins afterwards sees all that
    /// they tell of.
    pub fn take(&mut self) -> Due {
        let state = lock(&self.follow.state);
        match &mut self.heard {
            Heard::Everywhere(taken) => {
                *taken = state.risen;
                Due::Everywhere
            }
            Heard::Shards(shards) => {
                let mut due = Vec::new();
                for (shard, taken) in shards {
                    let mark = state.mark(*shard);
                    if mark > *taken {
                        *taken = mark;
                        due.push(*shard);
                    }
                }
                Due::Shards(due)
            }
        }
    }

    /// Waits until a mark has risen since it was taken.
    pub async fn risen(&self) {
        while !self.is_due() {
            self.wake.notified().await;
        }
    }

    fn is_due(&self) -> bool {
        let state = lock(&self.follow.state);
        match &self.heard {
            Heard::Everywhere(taken) => state.risen > *taken,
            Heard::Shards(shards) => shards.iter().any(|(shard, taken)| state.mark(*shard) > *taken),
        }
    }
}

impl State {
    fn mark(&self, shard: u32) -> u64 {
        self.shards.get(&shard).map_or(0, |it| it.mark)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut state = lock(&self.follow.state);
        match &self.heard {
            Heard::Everywhere(_) => {
                state.everywhere.remove(&self.id);
            }
            Heard::Shards(shards) => {
                for (shard, _) in shards {
                    if let Some(shard) = state.shards.get_mut(shard) {
                        shard.listeners.remove(&self.id);
                    }
                }
            }
        }
        state.listeners -= 1;
        if state.listeners == 0 {
            state.following = None;
        }
    }
}

/// Keeps one stream to every node of the map.
async fn follow_map(follow: Arc<Follow>, end: CancellationToken) {
    let mut versions = follow.cluster.map_versions();
    let mut followed: BTreeMap<Vec<u8>, (Arc<Node>, DropGuard)> = BTreeMap::new();
    loop {
        versions.borrow_and_update();
        if let Some(map) = follow.cluster.map_now() {
            followed.retain(|uuid, (node, _)| map.node(uuid).is_some_and(|known| Arc::ptr_eq(known, node)));
            for node in map.nodes() {
                followed.entry(node.uuid().to_vec()).or_insert_with(|| {
                    let own = end.child_token();
                    let following = follow_node(Arc::clone(&follow), Arc::clone(node));
                    follow.tasks.spawn(own.clone().run_until_cancelled_owned(following));
                    (Arc::clone(node), own.drop_guard())
                });
            }
        }
        tokio::select! {
            () = end.cancelled() => return,
            // The sender lives as long as the cluster.
            _ = versions.changed() => {}
        }
    }
}

/// Takes a node's marks, for ever: a stream that ends, or does not open, is opened again.
async fn follow_node(follow: Arc<Follow>, node: Arc<Node>) {
    let mut backoff = Backoff::new(PAUSE_MIN, PAUSE_MAX, Spread::UpperHalf);
    loop {
        take_marks(&follow, &node, &mut backoff).await;
        let pause = backoff.pause(rand::random());
        tracing::debug!(node = node.address(), ?pause, "the stream of marks ended");
        tokio::time::sleep(pause).await;
    }
}

async fn take_marks(follow: &Follow, node: &Node, backoff: &mut Backoff) {
    let mut feed = node.feed();
    let opening = feed.follow(FollowRequest { version: WIRE_VERSION });
    let Ok(Ok(reply)) = tokio::time::timeout(OPEN_TIMEOUT, opening).await else { return };
    let mut messages = reply.into_inner();
    while let Ok(Ok(Some(message))) = tokio::time::timeout(SILENCE_MAX, messages.message()).await {
        backoff.reset();
        follow.hear(&message.marks);
    }
}
