//! Reads the feed over all shards while a run goes on, as a gateway does: a round settles a frontier, pages go up to
//! it. In between it becomes another gateway, which knows no frontier and resumes at an old cursor.
//!
//! Whatever is read twice must be the same, and at the end everything is compared with the shards' own logs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use prost::Message;
use rowhouse_chaos_tests::history::{Action, History, Outcome};
use rowhouse_node::clock::Stamp;
use rowhouse_node::read::{self, ShardClock};
use rowhouse_proto::COMMAND_VERSION;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::command::{Close, Command, command::Body};
use rowhouse_proto::wire::shard::{EventRecord, ListEvents};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{Group, GroupId, ReadError};

use crate::audit::Audit;
use crate::load::{GROUPS, Shared, now_us, with};
use crate::nodes::Nodes;
use crate::probe;
use crate::trace::tell;

/// Attempts to ask a shard's leader, or any of its replicas; each waits a little.
const ATTEMPTS_MAX: u32 = 8;
const BACKOFF: Duration = Duration::from_millis(60);
/// The longest pause between two rounds.
const PAUSE_MS_MAX: u64 = 250;
/// Small, so that a round needs several pages.
const PAGE_MAX: u64 = 12;
/// In one turn of so many the auditor resumes at an old cursor, else where it was.
const TURNS_PER_RESUME: u64 = 4;
/// One page in so many is the last of its turn, although there is more.
const PAGES_PER_TURN: u64 = 16;
/// Virtual time the healed cluster has to settle a frontier.
const RECOVERY: Duration = Duration::from_secs(30);

/// A round that settled.
struct Round {
    /// How much of the history was there when it began.
    operations: usize,
    /// In ticks.
    frontier: u64,
}

pub struct Auditor<N> {
    cluster: N,
    record: Shared,
    ids: EventIds,
    seed: u64,
    audit: Audit,
    /// Every event that was ever read, in the order of the feed.
    feed: Vec<EventRecord>,
    /// The cursor: so many events of the feed lie up to it.
    at: usize,
    rounds: Vec<Round>,
}

fn one_in(turns: u64) -> bool {
    Simulation::random_u64().is_multiple_of(turns)
}

type JoinHandle<T> = <Simulation as AsyncRuntime>::JoinHandle<T>;

/// Audits until the run's clients are told to stop.
pub fn spawn<N: Nodes>(cluster: &N, record: &Shared, ids: EventIds, seed: u64) -> JoinHandle<Auditor<N>> {
    let mut auditor = Auditor {
        cluster: cluster.clone(),
        record: record.clone(),
        ids,
        seed,
        audit: Audit::default(),
        feed: Vec::new(),
        at: 0,
        rounds: Vec::new(),
    };
    Simulation::spawn(async move {
        while !with(&auditor.record, |record| record.stop) {
            auditor.turn().await;
            let pause_ms = 1 + Simulation::random_u64() % PAUSE_MS_MAX;
            Simulation::sleep(Duration::from_millis(pause_ms)).await;
        }
        auditor
    })
}

impl<N: Nodes> Auditor<N> {
    /// One round, and pages up to its frontier.
    async fn turn(&mut self) {
        let Some(frontier) = self.settle().await else { return };
        if one_in(TURNS_PER_RESUME) {
            self.at = Simulation::random_u64() as usize % (self.feed.len() + 1);
            self.audit.resumed += 1;
        }
        loop {
            let limit = 1 + Simulation::random_u64() % PAGE_MAX;
            match self.page(frontier, limit as usize).await {
                Some(true) if !one_in(PAGES_PER_TURN) => {}
                _ => break,
            }
        }
        // Up to the newest event that anybody read, the cursor may be given to anybody.
        self.at = self.feed.len();
    }

    /// A round: the newest event of all shards, and each shard closed up to it. `None` is what a gateway answers with
    /// 503.
    async fn settle(&mut self) -> Option<u64> {
        let operations = with(&self.record, |record| record.history.operations.len());
        let settled = self.close_all().await;
        let Some(frontier) = settled else {
            self.audit.unsettled += 1;
            return None;
        };
        let before = self.rounds.last().map_or(0, |round| round.frontier);
        assert!(frontier >= before, "seed {}: the frontier fell from {before} to {frontier}", self.seed);
        self.audit.rounds += 1;
        self.rounds.push(Round { operations, frontier });
        Some(frontier)
    }

    async fn close_all(&mut self) -> Option<u64> {
        let mut newest = 0;
        for group in GROUPS {
            newest = newest.max(self.clock(group, 0).await?.last_event_t);
        }
        let mut frontier = u64::MAX;
        for group in GROUPS {
            frontier = frontier.min(self.clock(group, newest).await?.closed_t);
        }
        Some(frontier)
    }

    /// The clock that a shard's leader tells once the shard is closed up to `tick`.
    async fn clock(&mut self, group: GroupId, tick: u64) -> Option<ShardClock> {
        let cluster = self.cluster.clone();
        let mut node = cluster.any();
        for _ in 0..ATTEMPTS_MAX {
            let hint = match cluster.group(node, group) {
                None => None,
                Some(handle) => match handle.read_barrier().await {
                    Ok(()) => match self.closed(node, &handle, tick).await {
                        Some(clock) => return Some(clock),
                        None => None,
                    },
                    Err(ReadError::NotLeader { leader_node }) => cluster.node_of(leader_node),
                    Err(ReadError::Unavailable(_)) => None,
                },
            };
            node = hint.unwrap_or_else(|| (node + 1) % cluster.count());
            Simulation::sleep(BACKOFF).await;
        }
        None
    }

    /// As a node does that leads the shard.
    async fn closed(
        &mut self,
        node: usize,
        handle: &Arc<Group<Simulation>>,
        tick: u64,
    ) -> Option<ShardClock> {
        let told = || {
            // A crash takes with it what is being answered, and the state below.
            if !self.cluster.runs(node, handle) {
                return None;
            }
            let clock = handle.read(read::clock);
            clock.unwrap_or_else(|error| panic!("seed {}: a clock: {error}", self.seed)).told(tick)
        };
        if let Some(clock) = told() {
            return Some(clock);
        }
        let close = self.close_command(node, tick)?;
        handle.propose(close, Bytes::new()).await.ok()?;
        let clock = told();
        self.audit.closes += 1;
        clock
    }

    /// Up to the leader's own clock, if that is ahead.
    fn close_command(&self, node: usize, tick: u64) -> Option<Bytes> {
        let Stamp { hlc_us, now_ms } = self.cluster.clock(node)?.stamp().ok()?;
        let t = tick.max(self.ids.tick(hlc_us));
        let body = Some(Body::Close(Close { t }));
        let command = Command { version: COMMAND_VERSION, hlc_us, now_ms, body, ..Command::default() };
        Some(command.encode_to_vec().into())
    }

    /// One page from the cursor on. Whether it is full; `None`: some shard has no replica that can be read.
    async fn page(&mut self, frontier: u64, limit: usize) -> Option<bool> {
        let after = self.at.checked_sub(1).map_or(0, |last| self.feed[last].id);
        let mut page = Vec::new();
        for group in GROUPS {
            page.extend(self.part(group, frontier, after, limit).await?);
        }
        page.sort_by_key(|event| event.id);
        page.truncate(limit);
        self.audit.pages += 1;
        let is_full = page.len() == limit;
        tell(|| format!("the feed after {after}, up to tick {frontier}: {} of {limit} events", page.len()));
        self.take(page, is_full);
        Some(is_full)
    }

    /// From any replica that has applied everything up to the frontier.
    async fn part(
        &mut self,
        group: GroupId,
        frontier: u64,
        after: u64,
        limit: usize,
    ) -> Option<Vec<EventRecord>> {
        let cluster = self.cluster.clone();
        let first = cluster.any();
        for attempt in 0..ATTEMPTS_MAX as usize {
            let node = (first + attempt) % cluster.count();
            let Some(handle) = cluster.group(node, group) else { continue };
            let clock = handle.read(read::clock);
            if !clock.is_ok_and(|clock| clock.is_closed_to(frontier)) {
                self.audit.behind += 1;
                Simulation::sleep(BACKOFF).await;
                continue;
            }
            // What is closed stays closed: a pause changes nothing.
            Simulation::sleep(Duration::from_micros(Simulation::random_u64() % 500)).await;
            if cluster.runs(node, &handle) {
                let mut events = self.events(&handle, after, limit);
                events.retain(|event| self.ids.tick_of(event.id) <= frontier);
                return Some(events);
            }
        }
        None
    }

    fn events(&self, handle: &Group<Simulation>, after: u64, limit: usize) -> Vec<EventRecord> {
        let query = ListEvents { after, limit: limit as u32, ..ListEvents::default() };
        let page = handle.read(|view| read::list_events(view, handle.id().into(), &query, 0));
        page.unwrap_or_else(|error| panic!("seed {}: events: {error:?}", self.seed)).events
    }

    /// What was read before is read again, unchanged, and what is new comes after all of it.
    fn take(&mut self, page: Vec<EventRecord>, is_full: bool) {
        let seed = self.seed;
        for event in page {
            match self.feed.get(self.at) {
                Some(known) => assert_eq!(*known, event, "seed {seed}: the feed changed below a cursor"),
                None => {
                    let last = self.feed.last().map_or(0, |last| last.id);
                    assert!(event.id > last, "seed {seed}: {event:?} comes after {last}");
                    self.audit.events += 1;
                    self.feed.push(event);
                }
            }
            self.at += 1;
        }
        let left = self.feed.len() - self.at;
        assert!(is_full || left == 0, "seed {seed}: a page ends {left} events early");
    }

    /// Nobody writes any more: reads everything once more, and compares all of it with the shards' logs and with what clients were
    /// told.
    pub async fn finish(mut self) -> Audit {
        let deadline_us = now_us() + RECOVERY.as_micros() as u64;
        let seed = self.seed;
        self.at = 0;
        'rounds: loop {
            assert!(now_us() < deadline_us, "seed {seed}: the feed does not settle after healing");
            Simulation::sleep(BACKOFF).await;
            let Some(frontier) = self.settle().await else { continue };
            loop {
                match self.page(frontier, read::EVENT_PAGE_MAX as usize).await {
                    None => continue 'rounds,
                    Some(true) => {}
                    Some(false) => break 'rounds,
                }
            }
        }
        self.check_logs();
        with(&self.record, |record| self.check_acknowledged(&record.history));
        assert!(self.audit.events > 0, "seed {seed}: the feed was read");
        self.audit
    }

    /// The feed is the union of the shards' logs.
    fn check_logs(&self) {
        let seed = self.seed;
        let mut logs = Vec::new();
        for group in GROUPS {
            let handles = (0..self.cluster.count()).filter_map(|node| self.cluster.group(node, group));
            let most = handles.max_by_key(|handle| handle.applied().log_id.map_or(0, |log_id| log_id.index));
            let handle = most.unwrap_or_else(|| panic!("seed {seed}: nobody has group {group}"));
            let events = probe::events(&handle).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
            logs.extend(events.into_iter().map(|(t, event)| EventRecord {
                id: self.ids.id(t, group.into()),
                deleted: event.hash.is_empty(),
                user: event.user,
                path: event.path,
                hash: event.hash,
            }));
        }
        logs.sort_by_key(|event| event.id);
        for (at, event) in logs.iter().enumerate() {
            assert_eq!(self.feed.get(at), Some(event), "seed {seed}: event {at} of the feed");
        }
        assert_eq!(self.feed.len(), logs.len(), "seed {seed}: the feed has what no log has");
    }

    /// Whatever was acknowledged before a round began lies below its frontier.
    fn check_acknowledged(&self, history: &History) {
        let ticks: BTreeMap<&[u8], u64> =
            self.feed.iter().map(|event| (&event.hash[..], self.ids.tick_of(event.id))).collect();
        let tick_of = |action: &Action| match action {
            Action::Put(value) => {
                ticks.get(&blake3::hash(value.to_string().as_bytes()).as_bytes()[..]).copied()
            }
            _ => None,
        };
        let mut operations = history.operations.iter();
        let (mut newest, mut taken) = (0, 0);
        for round in &self.rounds {
            for operation in operations.by_ref().take(round.operations - taken) {
                if matches!(operation.action, Action::Put(_)) && operation.outcome == Outcome::Done {
                    let tick = tick_of(&operation.action);
                    assert!(tick.is_some(), "seed {}: not in the feed: {operation:?}", self.seed);
                    newest = newest.max(tick.unwrap_or(0));
                }
            }
            taken = round.operations;
            assert!(newest <= round.frontier, "seed {}: {newest} was acknowledged before", self.seed);
        }
    }
}
