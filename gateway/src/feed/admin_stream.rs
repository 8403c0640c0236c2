//! `AllPages`: the events of all shards, private ones too, in one order: what the operator's stream reads.

use std::collections::VecDeque;
use std::sync::Arc;

use rowhouse_proto::wire::shard::EventRecord;
use rowhouse_proto::{ErrorCode, EventRow, Malformed};

use super::frames::{Due, Source, room_for};
use super::{Feed, Freshness, Selection};
use crate::cluster::{ByteLease, Call, Cluster};
use crate::respond::Rejection;

/// Pages of the feed. Every read sees what was acknowledged before it.
pub struct AllPages {
    feed: Arc<Feed>,
    cluster: Arc<Cluster>,
    call: Call,
    /// Its `after` goes on with what was read.
    selection: Selection,
    /// There may be more than what is at hand.
    more: bool,
    events: VecDeque<EventRecord>,
    /// Room for the events at hand.
    lease: Option<ByteLease>,
}

impl AllPages {
    /// Begins where `selection` says; how many it says does not count.
    pub fn new(feed: Arc<Feed>, cluster: Arc<Cluster>, call: Call, selection: Selection) -> Self {
        Self { feed, cluster, call, selection, more: true, events: VecDeque::new(), lease: None }
    }
}

impl Source for AllPages {
    fn take(&mut self) -> Option<EventRecord> {
        let event = self.events.pop_front();
        if self.events.is_empty() {
            (self.events, self.lease) = (VecDeque::new(), None);
        }
        event
    }

    fn is_at_end(&self) -> bool {
        !self.more && self.events.is_empty()
    }

    fn resume(&mut self, _: Due) {
        self.more = true;
    }

    async fn read(&mut self, rows: u32) -> Result<(), Rejection> {
        let Self { feed, cluster, selection, .. } = self;
        let call = cluster.call_again(&self.call);
        selection.limit = rows;
        let page = feed.page(&call, selection, Freshness::Acknowledged).await?;
        let page = page.iter().map(EventRow::to_record).collect::<Result<Vec<_>, Malformed>>();
        let page = page.map_err(|Malformed| ErrorCode::Internal)?;
        let lease = room_for(&page, cluster.admission())?;
        self.more = page.len() >= rows as usize;
        selection.after = page.last().map_or(selection.after, |event| event.id);
        (self.events, self.lease) = (page.into(), Some(lease));
        Ok(())
    }
}
