//! Event logs of a scripted node's replicas, in memory: it tells their clocks, reads them and tells of news as the
//! contract says, and counts. Every node has replicas of its own: what is written must be written to each.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::feed::feed_server::{Feed, FeedServer};
use rowhouse_proto::wire::feed::{
    ClocksReply, ClocksRequest, EventMark, FollowReply, FollowRequest, PageReply, PageRequest, ShardClock,
};
use rowhouse_proto::wire::shard::EventRecord;
use rowhouse_proto::{EventRow, WIRE_VERSION};
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::SHARDS;
use super::node::HLC_US;

const PAGE_MAX: u32 = 1000;

/// By default it has and leads all `SHARDS`, which are empty.
#[derive(Clone)]
pub struct EventLogs(Arc<Mutex<State>>);

struct State {
    replicas: BTreeMap<u32, Replica>,
    led: BTreeSet<u32>,
    answers: bool,
    looks_at: usize,
    holds: watch::Sender<bool>,
    clocks: Vec<ClocksRequest>,
    reads: Vec<PageRequest>,
    follows: usize,
    /// Rises with every event; the streams that it opened end when it is replaced.
    news: watch::Sender<u64>,
}

#[derive(Default)]
struct Replica {
    closed: u64,
    events: BTreeMap<u64, EventRecord>,
}

impl Replica {
    fn last_event(&self) -> u64 {
        self.events.last_key_value().map_or(0, |(id, _)| ids().tick_of(*id))
    }
}

/// Events as nodes tell them in a page. A user without a key becomes one of zeros.
pub fn rows(events: &[EventRecord]) -> Bytes {
    let mut rows = Vec::new();
    for event in events {
        let user = UserKey::try_from(&event.user[..]).unwrap_or_default();
        let hash = if event.deleted || !event.hash.is_empty() { &event.hash[..] } else { &[0; 32] };
        EventRow::push(&mut rows, event.id, &user, hash, event.path.as_bytes()).expect("an event");
    }
    rows.into()
}

/// As `rows`, of events that have nothing but their ids.
pub fn rows_of_ids(ids: &[u64]) -> Bytes {
    let events: Vec<_> = ids.iter().map(|id| EventRecord { id: *id, ..EventRecord::default() }).collect();
    rows(&events)
}

/// The layout of the fixture's event ids.
pub fn ids() -> EventIds {
    EventIds::new(SHARDS).expect("a power of two")
}

impl Default for EventLogs {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            replicas: (0..SHARDS).map(|shard| (shard, Replica::default())).collect(),
            led: (0..SHARDS).collect(),
            answers: true,
            looks_at: usize::MAX,
            holds: watch::Sender::new(false),
            clocks: Vec::new(),
            reads: Vec::new(),
            follows: 0,
            news: watch::Sender::new(0),
        })))
    }
}

impl EventLogs {
    /// Writes an event to the shard that its id names, which is closed up to it.
    pub fn append(&self, event: EventRecord) {
        let mut state = self.state();
        let replica = state.replicas.get_mut(&ids().shard_of(event.id)).expect("hosted");
        replica.closed = replica.closed.max(ids().tick_of(event.id));
        replica.events.insert(event.id, event);
        state.news.send_modify(|news| *news += 1);
    }

    /// How far a replica here is closed.
    pub fn closed(&self, shard: u32) -> u64 {
        self.state().replicas[&shard].closed
    }

    /// Leads these of its replicas and no others.
    pub fn leads(&self, shards: impl IntoIterator<Item = u32>) {
        self.state().led = shards.into_iter().collect();
    }

    /// Has replicas of these shards and no others. Those that are new are empty.
    pub fn hosts(&self, shards: impl IntoIterator<Item = u32>) {
        let mut state = self.state();
        let mut before = std::mem::take(&mut state.replicas);
        let replica = |shard| (shard, before.remove(&shard).unwrap_or_default());
        state.replicas = shards.into_iter().map(replica).collect();
    }

    /// Whether it answers at all. The streams that are open when it stops break off.
    pub fn answers(&self, answers: bool) {
        let mut state = self.state();
        state.answers = answers;
        if !answers {
            state.news = watch::Sender::new(0);
        }
    }

    /// Whether it keeps the answers to questions for clocks until it is told otherwise. What they say is fixed before.
    pub fn holds(&self, holds: bool) {
        self.state().holds.send_replace(holds);
    }

    /// Ends the page of a read after so many events, whether they match or not.
    pub fn looks_at(&self, events: usize) {
        self.state().looks_at = events;
    }

    /// The questions for clocks, in order.
    pub fn clocks(&self) -> Vec<ClocksRequest> {
        self.state().clocks.clone()
    }

    /// The reads, in order.
    pub fn reads(&self) -> Vec<PageRequest> {
        self.state().reads.clone()
    }

    /// The streams of marks that were opened.
    pub fn follows(&self) -> usize {
        self.state().follows
    }

    pub fn service(&self) -> FeedServer<Self> {
        FeedServer::new(self.clone())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("feed")
    }

    /// The marks that changed since `told`.
    fn marks(&self, told: &mut BTreeMap<u32, u64>) -> FollowReply {
        let mut marks = Vec::new();
        for (shard, replica) in &self.state().replicas {
            let last_event = replica.last_event();
            if last_event > told.insert(*shard, last_event).unwrap_or(0) {
                marks.push(EventMark { shard: *shard, last_event });
            }
        }
        FollowReply { marks }
    }
}

impl State {
    /// An answer, or none.
    fn checked(&self, version: u32) -> Result<(), Status> {
        assert_eq!(version, WIRE_VERSION);
        if self.answers { Ok(()) } else { Err(Status::unavailable("scripted")) }
    }

    fn told_clocks(&mut self, tick: u64) -> Vec<ShardClock> {
        let led = &self.led;
        let replicas = self.replicas.iter_mut().filter(|(shard, _)| led.contains(shard));
        let clock = |(shard, replica): (&u32, &mut Replica)| {
            replica.closed = replica.closed.max(tick);
            ShardClock { shard: *shard, closed: replica.closed, last_event: replica.last_event() }
        };
        replicas.map(clock).collect()
    }

    fn page(&self, request: &PageRequest) -> PageReply {
        let is_behind =
            |shard: &u32| self.replicas.get(shard).is_none_or(|replica| replica.closed < request.tick_max);
        let behind: Vec<u32> = request.shards.iter().copied().filter(is_behind).collect();
        if !behind.is_empty() {
            return PageReply { hlc: HLC_US, behind, ..PageReply::default() };
        }
        let limit = if request.limit == 0 { PAGE_MAX } else { request.limit.min(PAGE_MAX) } as usize;
        let mut found: Vec<&EventRecord> =
            request.shards.iter().flat_map(|shard| self.replicas[shard].events.values()).collect();
        found.retain(|event| ids().tick_of(event.id) <= request.tick_max && is_ahead(request, event.id));
        found.sort_by_key(|event| if request.reverse { u64::MAX - event.id } else { event.id });
        let (mut events, mut reached) = (Vec::new(), 0);
        let in_all = found.len();
        for (at, event) in found.into_iter().enumerate() {
            if matches(request, event) {
                events.push(event.clone());
            }
            if at + 1 < in_all && (events.len() == limit || at + 1 == self.looks_at) {
                reached = event.id;
                break;
            }
        }
        PageReply { hlc: HLC_US, rows: rows(&events), reached, behind }
    }
}

fn is_ahead(request: &PageRequest, id: u64) -> bool {
    if request.reverse { request.after == 0 || id < request.after } else { id > request.after }
}

fn matches(request: &PageRequest, event: &EventRecord) -> bool {
    let is_below = |path: &String| {
        if path.ends_with('/') { event.path.starts_with(path.as_str()) } else { event.path == *path }
    };
    (request.users.is_empty() || request.users.contains(&event.user))
        && (request.paths.is_empty() || request.paths.iter().any(is_below))
}

type Marks = Pin<Box<dyn Stream<Item = Result<FollowReply, Status>> + Send>>;

#[tonic::async_trait]
impl Feed for EventLogs {
    type FollowStream = Marks;

    async fn clocks(&self, request: Request<ClocksRequest>) -> Result<Response<ClocksReply>, Status> {
        let request = request.into_inner();
        let (clocks, mut holds) = {
            let mut state = self.state();
            state.clocks.push(request);
            state.checked(request.version)?;
            (state.told_clocks(request.tick), state.holds.subscribe())
        };
        holds.wait_for(|holds| !holds).await.map_err(|_| Status::unavailable("gone"))?;
        Ok(Response::new(ClocksReply { hlc: HLC_US, clocks }))
    }

    async fn page(&self, request: Request<PageRequest>) -> Result<Response<PageReply>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        state.reads.push(request.clone());
        state.checked(request.version)?;
        Ok(Response::new(state.page(&request)))
    }

    async fn follow(&self, request: Request<FollowRequest>) -> Result<Response<Marks>, Status> {
        let news = {
            let mut state = self.state();
            state.follows += 1;
            state.checked(request.into_inner().version)?;
            state.news.subscribe()
        };
        let mut told = BTreeMap::new();
        let first = self.marks(&mut told);
        let logs = self.clone();
        let later = stream::unfold((logs, news, told), |(logs, mut news, mut told)| async move {
            news.changed().await.ok()?;
            let reply = logs.marks(&mut told);
            Some((Ok(reply), (logs, news, told)))
        });
        let broken = stream::once(async { Err(Status::unavailable("scripted")) });
        Ok(Response::new(stream::once(async { Ok(first) }).chain(later).chain(broken).boxed()))
    }
}
