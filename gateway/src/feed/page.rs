//! One page while it is filled: where it stands, and the check of all that enters it (docs/rules/feed.md#events-rise).
//! Pure.

use pubky_common::crypto::PublicKey;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::feed::{PageReply, PageRequest};
use rowhouse_proto::{ErrorCode, EventRow, Malformed, WIRE_VERSION};

use super::merge::{Merged, merge};
use crate::respond::Rejection;

/// Nodes give no longer pages.
const PAGE_MAX: u32 = 1000;

/// Which events a page has.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// An event id, exclusive: events above it, or in reverse below it, where 0 is from the newest.
    pub after: u64,
    /// Most events; no page has more than 1000.
    pub limit: u32,
    /// Only theirs; empty: everybody's.
    pub users: Vec<PublicKey>,
    /// Canonical paths: with a last slash all below, else one file. Empty: all.
    pub paths: Vec<String>,
    /// Descending.
    pub reverse: bool,
}

/// A page that is being filled.
pub struct Page<'a> {
    selection: &'a Selection,
    ids: EventIds,
    /// All was looked at as far as this id, which is in it. In reverse 0 is nothing yet.
    position: u64,
    /// In reverse: there are no more.
    is_over: bool,
    limit: usize,
    events: Vec<EventRow>,
}

impl<'a> Page<'a> {
    /// An empty one.
    pub fn new(selection: &'a Selection, ids: EventIds) -> Self {
        let limit = selection.limit.min(PAGE_MAX) as usize;
        Self { selection, ids, position: selection.after, is_over: false, limit, events: Vec::new() }
    }

    /// Whether there may be events up to `tick` that it has not looked at.
    pub fn has_more(&self, tick: u64) -> bool {
        if self.events.len() >= self.limit || tick == 0 {
            false
        } else if self.selection.reverse {
            !self.is_over
        } else {
            self.position < self.last_id(tick)
        }
    }

    /// Whether events above `tick` belong into it, if there are any.
    pub fn goes_above(&self, tick: u64) -> bool {
        if self.selection.reverse {
            self.selection.after == 0 || self.selection.after > self.ids.id(tick + 1, 0)
        } else {
            self.events.len() < self.limit
        }
    }

    /// The question for what comes next, without its shards.
    pub fn request(&self, tick: u64) -> PageRequest {
        PageRequest {
            version: WIRE_VERSION,
            shards: Vec::new(),
            tick_max: tick,
            after: self.position,
            // Below PAGE_MAX.
            limit: u32::try_from(self.limit - self.events.len()).unwrap_or(PAGE_MAX),
            users: self.selection.users.iter().map(|user| user.as_bytes().to_vec().into()).collect(),
            paths: self.selection.paths.clone(),
            reverse: self.selection.reverse,
        }
    }

    /// Takes the answers to `request(tick)`, which cover all shards. `Internal`, and nothing taken, when they are not
    /// what was asked for: a reader who saw them would miss events for ever.
    pub fn take(&mut self, replies: Vec<PageReply>, tick: u64) -> Result<(), Rejection> {
        let merged = merge(replies, self.selection.reverse).map_err(|Malformed| {
            tracing::error!("a node told events that are none");
            ErrorCode::Internal
        })?;
        let is_good = self.is_in_order(&merged, tick);
        debug_assert!(is_good, "events out of order: {:?}", self.offence(&merged, tick));
        if !is_good {
            tracing::error!(offence = ?self.offence(&merged, tick), "nodes told events out of order");
            return Err(ErrorCode::Internal.into());
        }
        let room = self.limit - self.events.len();
        self.events.extend(merged.events.into_iter().take(room));
        match merged.reached {
            Some(reached) => self.position = reached,
            None if self.selection.reverse => self.is_over = true,
            None => self.position = self.last_id(tick),
        }
        Ok(())
    }

    /// What it has.
    pub fn into_events(self) -> Vec<EventRow> {
        self.events
    }

    fn last_id(&self, tick: u64) -> u64 {
        self.ids.id(tick, self.ids.shard_count() - 1)
    }

    fn is_in_order(&self, merged: &Merged, tick: u64) -> bool {
        let is_next = |before: u64, id: u64| {
            if self.selection.reverse { before == 0 || id < before } else { id > before }
        };
        let mut before = self.position;
        let follow = merged.events.iter().all(|event| {
            let id = event.id();
            let follows = is_next(before, id);
            before = id;
            follows && self.ids.tick_of(id) <= tick
        });
        follow && merged.reached.is_none_or(|reached| is_next(self.position, reached))
    }

    fn offence(&self, merged: &Merged, tick: u64) -> Offence {
        let ids = merged.events.iter().map(EventRow::id).collect();
        Offence { position: self.position, tick, ids, reached: merged.reached }
    }
}

/// For logs.
#[derive(Debug)]
#[expect(dead_code, reason = "read by Debug alone")]
struct Offence {
    position: u64,
    tick: u64,
    ids: Vec<u64>,
    reached: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::rows_of_ids;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    fn reply(ids: &[u64], reached: u64) -> PageReply {
        PageReply { rows: rows_of_ids(ids), reached, ..PageReply::default() }
    }

    fn layout() -> EventIds {
        EventIds::new(16).expect("a power of two")
    }

    #[test]
    fn events_out_of_order_or_above_the_frontier_are_never_taken() {
        const TICK: u64 = 10;
        let last = layout().id(TICK, 15);
        for (reverse, reply) in [
            (false, reply(&[100], 0)),
            (false, reply(&[90, 120], 0)),
            (false, reply(&[101, 101], 0)),
            (false, reply(&[last + 1], 0)),
            (false, reply(&[], 100)),
            (true, reply(&[100], 0)),
            (true, reply(&[90, 90], 0)),
            (true, reply(&[], 100)),
        ] {
            let selection = Selection { after: 100, limit: 5, reverse, ..Selection::default() };
            let mut page = Page::new(&selection, layout());
            let replies = vec![reply];
            // It panics where debug assertions are on.
            let taken = catch_unwind(AssertUnwindSafe(|| page.take(replies.clone(), TICK)));
            assert!(!matches!(taken, Ok(Ok(()))), "{reverse} {replies:?}");
            assert!(page.into_events().is_empty());
        }
        let selection = Selection { after: 100, limit: 5, ..Selection::default() };
        let mut page = Page::new(&selection, layout());
        assert_eq!(page.take(vec![reply(&[101, last], 0), reply(&[103], 0)], TICK), Ok(()));
        assert_eq!(page.into_events().len(), 3);
    }

    #[test]
    fn a_page_goes_on_where_the_nearest_answer_ends_and_no_further_than_the_frontier() {
        let selection = Selection { limit: 3, ..Selection::default() };
        let mut page = Page::new(&selection, layout());
        assert!(!page.has_more(0) && page.has_more(10), "nothing is known of tick 0");
        page.take(vec![reply(&[20], 20), reply(&[17, 30], 0)], 10).expect("in order");
        assert_eq!((page.request(10).after, page.request(10).limit), (20, 1));
        page.take(vec![reply(&[], 0), reply(&[30], 0)], 10).expect("in order");
        assert!(!page.has_more(10) && !page.goes_above(10), "it is full");
        let ids: Vec<u64> = page.into_events().iter().map(EventRow::id).collect();
        assert_eq!(ids, [17, 20, 30]);
    }
}
