//! A reader of the feed, as a gateway is one: a round that settles a frontier, then pages up to it.

use crate::shard::{Bug, Record, Tick};

/// An event's time, then its shard: the order of the feed.
pub type Id = (Tick, usize);

/// How far the reader is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    Idle,
    /// Asks each shard's leader for its newest event.
    Asking {
        last_events: Vec<Option<Tick>>,
    },
    /// Waits until each shard is closed up to `tick`.
    Closing {
        tick: Tick,
        closed: Vec<Option<Tick>>,
    },
    /// Reads each shard up to the frontier.
    Reading {
        limit: usize,
        parts: Vec<Option<Vec<Id>>>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Reader {
    pub phase: Phase,
    pub frontier: Tick,
    /// Its pages one after the other; the last id is its cursor.
    pub pages: Vec<Id>,
    /// The last page was not full: the reader has everything up to the frontier.
    pub is_at_frontier: bool,
    /// Of each shard, how many events were acknowledged when the last round began.
    pub acknowledged: Vec<usize>,
    /// The events up to the frontier when it was settled.
    pub settled: Vec<Id>,
}

impl Reader {
    pub fn new(shards: usize) -> Self {
        Self {
            phase: Phase::Idle,
            frontier: 0,
            pages: Vec::new(),
            is_at_frontier: false,
            acknowledged: vec![0; shards],
            settled: Vec::new(),
        }
    }

    /// Begins a round.
    pub fn ask(&mut self, acknowledged: Vec<usize>) {
        self.phase = Phase::Asking { last_events: vec![None; acknowledged.len()] };
        self.acknowledged = acknowledged;
        self.is_at_frontier = false;
    }

    /// A shard's leader, by a linearizable read, tells of its newest event.
    pub fn told_last_event(&mut self, shard: usize, last_event: Tick) {
        let Phase::Asking { last_events } = &mut self.phase else { return };
        last_events[shard] = Some(last_event);
        if let Some(ticks) = last_events.iter().copied().collect::<Option<Vec<Tick>>>() {
            let tick = ticks.into_iter().max().unwrap_or(0);
            self.phase = Phase::Closing { tick, closed: vec![None; last_events.len()] };
        }
    }

    /// Any replica tells what is closed in its applied state. Returns the frontier once every shard has told.
    pub fn told_closed(&mut self, shard: usize, tick: Tick) -> Option<Tick> {
        let Phase::Closing { closed, .. } = &mut self.phase else { return None };
        closed[shard] = Some(tick);
        closed.iter().copied().collect::<Option<Vec<Tick>>>()?.into_iter().min()
    }

    /// Ends a round. `events`: up to what the frontier is now.
    pub fn settle(&mut self, frontier: Tick, events: Vec<Id>) {
        self.frontier = frontier;
        self.settled = events;
        self.phase = Phase::Idle;
    }

    /// Whether that replica may be read.
    pub fn may_read(&self, record: &Record, bug: Option<Bug>) -> bool {
        record.closed() >= self.frontier || bug == Some(Bug::EmitPastFrontier)
    }

    pub fn begin_page(&mut self, limit: usize) {
        self.phase = Phase::Reading { limit, parts: vec![None; self.acknowledged.len()] };
    }

    /// A shard's part of the page; the page is made of the parts when the last one is there.
    pub fn read(&mut self, shard: usize, record: &Record, bug: Option<Bug>) {
        let Phase::Reading { limit, parts } = &mut self.phase else { return };
        let cursor = self.pages.last().copied();
        let tick_max = if bug == Some(Bug::EmitPastFrontier) { Tick::MAX } else { self.frontier };
        let mut part: Vec<Id> = record.events.iter().map(|t| (*t, shard)).collect();
        part.retain(|id| Some(*id) > cursor && id.0 <= tick_max);
        part.sort_unstable();
        part.truncate(*limit);
        parts[shard] = Some(part);
        if parts.iter().all(Option::is_some) {
            let mut page: Vec<Id> = parts.iter().flatten().flatten().copied().collect();
            page.sort_unstable();
            page.truncate(*limit);
            self.is_at_frontier = page.len() < *limit;
            self.pages.extend(page);
            self.phase = Phase::Idle;
        }
    }

    /// Goes on at another gateway, which knows no frontier, with the cursor of an earlier event.
    pub fn move_on(&mut self, kept: usize) {
        self.pages.truncate(kept);
        self.frontier = 0;
        self.settled.clear();
        self.is_at_frontier = false;
        self.acknowledged.fill(0);
        self.phase = Phase::Idle;
    }
}
