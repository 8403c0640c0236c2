//! Readers of the event feed beside the clients of a run, and their verdict.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use tokio::task::JoinSet;

use super::auditor::{Auditor, FeedSeen};
use super::listener::{Listener, StreamsSeen};
use super::worker::{Account, Shared};
use crate::error::Error;
use crate::feed::FeedLine;
use crate::history::{Action, History, Outcome, Value};
use crate::oracle::{Acknowledged, EventLog, Union, Violation, check_pages, check_streams};

/// Readers of `/events/`.
const AUDITORS: u64 = 2;

/// What the readers did, in numbers.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct AuditCounts {
    /// Pages of `/events/` that were answered, each compared with the shards' logs.
    pub pages: usize,
    /// Events in these pages.
    pub page_events: usize,
    /// Times that a reader went back to an old cursor.
    pub resumes: usize,
    /// Answers of 429 and 503.
    pub refused: usize,
    pub broken: usize,
    pub streams_opened: usize,
    /// Streams that the server ended, or that broke.
    pub streams_ended: usize,
    pub stream_events: usize,
}

/// Readers at work.
pub struct Audit {
    auditors: JoinSet<Auditor>,
    listeners: JoinSet<Listener>,
}

/// All that the readers saw.
pub struct Audited {
    feeds: Vec<FeedSeen>,
    streams: StreamsSeen,
}

impl Audit {
    /// Begins to read.
    pub fn begin(shared: &Arc<Shared>, seed: u64) -> Self {
        let (mut auditors, mut listeners) = (JoinSet::new(), JoinSet::new());
        for number in 0..AUDITORS {
            auditors.spawn(Auditor::new(Arc::clone(shared), number, seed).run());
        }
        listeners.spawn(Listener::new(Arc::clone(shared), seed).run());
        Self { auditors, listeners }
    }

    /// Once the run has stopped and the cluster is at rest: reads the rest of everything.
    pub async fn finish(mut self) -> Result<Audited, Error> {
        let mut audited = Audited { feeds: Vec::new(), streams: StreamsSeen::default() };
        while let Some(auditor) = self.auditors.join_next().await {
            let mut auditor = auditor.map_err(|error| Error::Cluster(format!("an auditor: {error}")))?;
            if audited.feeds.is_empty() {
                auditor.finish().await?;
            }
            audited.feeds.push(auditor.seen);
        }
        while let Some(listener) = self.listeners.join_next().await {
            let mut listener = listener.map_err(|error| Error::Cluster(format!("a listener: {error}")))?;
            listener.finish().await?;
            audited.streams = listener.seen;
        }
        Ok(audited)
    }
}

impl Audited {
    /// Compares all of it with the logs of the shards.
    pub fn verdict(&self, logs: &[EventLog], accounts: &[Account], history: &History) -> Vec<Violation> {
        let union = union(logs, accounts);
        let acknowledged = acknowledged(logs, history);
        let pages = self.feeds.iter().map(|feed| check_pages(&feed.pages, &union, &acknowledged));
        let mut violations: Vec<Violation> = pages.flatten().collect();
        let reached = self.feeds.iter().flat_map(|feed| &feed.pages).filter_map(|page| page.cursor).max();
        if reached.unwrap_or(0) != union.newest() {
            let what = format!("the feed ends at {reached:?}, the logs at {}", union.newest());
            violations.push(Violation { oracle: "feed", what });
        }
        violations.extend(check_streams(&self.streams.told, &union));
        violations
    }

    /// What there was to judge.
    pub fn counts(&self) -> AuditCounts {
        let pages = || self.feeds.iter().flat_map(|feed| &feed.pages);
        AuditCounts {
            pages: pages().count(),
            page_events: pages().map(|page| page.events).sum(),
            resumes: self.feeds.iter().map(|feed| feed.resumes).sum(),
            refused: self.feeds.iter().map(|feed| feed.refused).sum(),
            broken: self.feeds.iter().map(|feed| feed.broken).sum(),
            streams_opened: self.streams.opened,
            streams_ended: self.streams.ended,
            stream_events: self.streams.told.values().map(Vec::len).sum(),
        }
    }
}

fn union(logs: &[EventLog], accounts: &[Account]) -> Union {
    let events = logs.iter().flat_map(|log| &log.events).map(|event| {
        let user = accounts[event.key.user].z32.clone();
        (event.id, FeedLine { deleted: event.value.is_none(), user, path: event.key.path.clone() })
    });
    Union::new(events.collect())
}

/// Puts alone: their values name their events.
fn acknowledged(logs: &[EventLog], history: &History) -> Vec<Acknowledged> {
    let events = logs.iter().flat_map(|log| &log.events);
    let ids: HashMap<Value, u64> = events.filter_map(|event| Some((event.value?, event.id))).collect();
    let done = history.operations.iter().filter(|operation| operation.outcome == Outcome::Done);
    let acknowledged = done.filter_map(|operation| {
        let Action::Put(value) = operation.action else { return None };
        Some(Acknowledged { returned_ns: operation.returned_ns, id: *ids.get(&value)? })
    });
    acknowledged.collect()
}
