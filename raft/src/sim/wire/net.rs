//! The nodes, what is cut between them, and the faults a test injects.

use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use rowhouse_proto::wire::transport::v1::Frame;
use tokio::sync::Semaphore;

use crate::lock::lock;
use crate::runtime::Runtime;
use crate::transport::{FrameReceiver, FrameSender, Inbox, Lane, LinkError, NodeUuid, frame_queue};

/// How the network behaves between faults. Ranges are inclusive.
#[derive(Clone, Copy, Debug)]
pub struct SimWeather {
    /// One way, each frame anew; a later frame of a lane never overtakes.
    pub delay: (Duration, Duration),
    /// One way, each chunk of a snapshot.
    pub chunk_delay: (Duration, Duration),
    /// How long a cut goes unnoticed by who waits across it.
    pub patience: (Duration, Duration),
    /// Chance of each frame to break its link instead of arriving.
    pub reset_per_million: u32,
    /// Chance of each chunk of a snapshot to break its transfer instead of arriving.
    pub chunk_reset_per_million: u32,
}

impl Default for SimWeather {
    /// A data centre, with keepalives as in production.
    fn default() -> Self {
        Self {
            delay: (Duration::from_micros(100), Duration::from_millis(5)),
            chunk_delay: (Duration::from_micros(100), Duration::from_millis(5)),
            patience: (Duration::from_millis(500), Duration::from_secs(4)),
            reset_per_million: 0,
            chunk_reset_per_million: 0,
        }
    }
}

/// A simulated network; clones are the same network.
pub struct SimNet<R: Runtime> {
    pub(super) weather: SimWeather,
    state: Arc<Mutex<NetState>>,
    runtime: PhantomData<fn() -> R>,
}

#[derive(Default)]
struct NetState {
    nodes: BTreeMap<NodeUuid, SimNode>,
    /// From, to.
    cuts: BTreeSet<(NodeUuid, NodeUuid)>,
    /// Dialled by the first for the second.
    links: BTreeMap<LinkKey, OpenLink>,
    last_link: u64,
    /// Bytes of snapshots that arrived anywhere.
    snapshot_bytes: u64,
    /// Transfers of snapshots that broke.
    snapshot_breaks: u64,
}

pub(super) type LinkKey = (NodeUuid, NodeUuid, Lane);

struct SimNode {
    /// Changes with each crash: a wire of an earlier one is dead.
    incarnation: u64,
    up: bool,
    inbox: Option<Weak<dyn Inbox>>,
}

struct OpenLink {
    id: u64,
    queue: FrameSender,
    /// Closed to break the link at once.
    broken: Arc<Semaphore>,
}

/// A link that was just dialled.
pub(super) struct NewLink {
    pub(super) key: LinkKey,
    pub(super) id: u64,
    pub(super) frames: FrameReceiver,
    pub(super) broken: Arc<Semaphore>,
}

impl<R: Runtime> Clone for SimNet<R> {
    fn clone(&self) -> Self {
        Self { weather: self.weather, state: self.state.clone(), runtime: PhantomData }
    }
}

impl<R: Runtime> SimNet<R> {
    /// A network without nodes or faults.
    pub fn new(weather: SimWeather) -> Self {
        Self { weather, state: Arc::default(), runtime: PhantomData }
    }

    /// Loses everything from `from` to `to`, and back unless `one_way`.
    pub fn partition(&self, from: NodeUuid, to: NodeUuid, one_way: bool) {
        let mut state = self.state();
        state.cuts.insert((from, to));
        if !one_way {
            state.cuts.insert((to, from));
        }
    }

    /// Mends every partition.
    pub fn heal(&self) {
        self.state().cuts.clear();
    }

    /// Kills a node's process: its links break at once, its wire is dead for ever.
    pub fn crash(&self, node: NodeUuid) {
        self.node(node, |node| {
            node.up = false;
            node.incarnation += 1;
            node.inbox = None;
        });
        self.break_links(node);
    }

    /// Lets a crashed node have a new wire.
    pub fn restart(&self, node: NodeUuid) {
        self.node(node, |node| node.up = true);
    }

    /// Breaks every link of a node once.
    pub fn break_links(&self, node: NodeUuid) {
        for ((from, to, _), link) in &self.state().links {
            if *from == node || *to == node {
                link.broken.close();
            }
        }
    }

    /// Whether a call of one node would reach another now: both run, and nothing is cut between them.
    pub fn connects(&self, from: NodeUuid, to: NodeUuid) -> bool {
        let is_up = |node| self.state().nodes.get(&node).is_some_and(|node| node.up);
        is_up(from) && is_up(to) && self.passes(from, to) && self.passes(to, from)
    }

    pub(super) fn passes(&self, from: NodeUuid, to: NodeUuid) -> bool {
        !self.state().cuts.contains(&(from, to))
    }

    /// Where a node's frames go, with its incarnation; `None` while it is down or has not started.
    pub(super) fn inbox(&self, node: NodeUuid) -> Option<(Arc<dyn Inbox>, u64)> {
        let state = self.state();
        let node = state.nodes.get(&node).filter(|node| node.up)?;
        Some((node.inbox.as_ref()?.upgrade()?, node.incarnation))
    }

    pub(super) fn lives(&self, node: NodeUuid, incarnation: u64) -> bool {
        self.state().nodes.get(&node).is_some_and(|node| node.up && node.incarnation == incarnation)
    }

    pub(super) fn delay(&self) -> Duration {
        between::<R>(self.weather.delay)
    }

    pub(super) fn chunk_delay(&self) -> Duration {
        between::<R>(self.weather.chunk_delay)
    }

    pub(super) fn patience(&self) -> Duration {
        between::<R>(self.weather.patience)
    }

    /// Bytes of snapshots that arrived anywhere so far, and how many transfers broke.
    pub fn snapshots(&self) -> (u64, u64) {
        let state = self.state();
        (state.snapshot_bytes, state.snapshot_breaks)
    }

    pub(super) fn snapshot_chunk(&self, bytes: usize) {
        self.state().snapshot_bytes += bytes as u64;
    }

    pub(super) fn snapshot_broke(&self) {
        self.state().snapshot_breaks += 1;
    }

    pub(super) fn resets(&self) -> bool {
        chance::<R>(self.weather.reset_per_million)
    }

    pub(super) fn resets_snapshot(&self) -> bool {
        chance::<R>(self.weather.chunk_reset_per_million)
    }

    /// Forgets a link that has ended; a newer one of the same name stays.
    pub(super) fn forget(&self, key: LinkKey, id: u64) {
        let mut state = self.state();
        if state.links.get(&key).is_some_and(|link| link.id == id) {
            state.links.remove(&key);
        }
    }

    /// Queues a frame on an open link, or on a new one, which is returned to be run.
    pub(super) fn queue(&self, key: LinkKey, frame: Frame) -> Result<Option<NewLink>, LinkError> {
        let mut state = self.state();
        if let Some(link) = state.links.get(&key) {
            return link.queue.try_send(frame).map(|()| None);
        }
        let (queue, frames) = frame_queue();
        queue.try_send(frame)?;
        state.last_link += 1;
        let (id, broken) = (state.last_link, Arc::new(Semaphore::new(0)));
        state.links.insert(key, OpenLink { id, queue, broken: broken.clone() });
        Ok(Some(NewLink { key, id, frames, broken }))
    }

    /// The incarnation of a node; one unknown until now is up.
    pub(super) fn incarnation(&self, node: NodeUuid) -> u64 {
        self.node(node, |node| node.incarnation)
    }

    /// Names who receives what arrives at a node.
    pub(super) fn attach(&self, node: NodeUuid, inbox: Weak<dyn Inbox>) {
        self.node(node, |node| node.inbox = Some(inbox));
    }

    fn node<T>(&self, node: NodeUuid, change: impl FnOnce(&mut SimNode) -> T) -> T {
        let mut state = self.state();
        change(state.nodes.entry(node).or_insert(SimNode { incarnation: 0, up: true, inbox: None }))
    }

    fn state(&self) -> MutexGuard<'_, NetState> {
        lock(&self.state)
    }
}

fn chance<R: Runtime>(per_million: u32) -> bool {
    per_million > 0 && R::random_u64() % 1_000_000 < u64::from(per_million)
}

fn between<R: Runtime>((least, most): (Duration, Duration)) -> Duration {
    let span = most.saturating_sub(least).as_micros() as u64 + 1;
    least + Duration::from_micros(R::random_u64() % span)
}
