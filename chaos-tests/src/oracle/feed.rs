//! Does the feed tell exactly what the shards' logs have: nothing less, nothing twice, nothing too late?
//!
//! A page must be a piece of the union of all logs, without a gap after the cursor it was asked with. If it is not
//! full, it must reach every write that was acknowledged before it was asked for.

use std::collections::BTreeMap;

use super::{VIOLATIONS_MAX, Violation};
use crate::feed::{FeedLine, FeedPage, StreamEvent};

const ORACLE: &str = "feed";

/// The public events of all shards in the order of their ids.
#[derive(Clone, Debug, Default)]
pub struct Union(Vec<(u64, FeedLine)>);

/// A page as it was answered. Its events are kept as a hash: a run reads most of them many times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageSeen {
    /// When it was asked for, on the recorder's clock.
    pub asked_ns: u64,
    pub after: u64,
    pub limit: usize,
    pub events: usize,
    /// None: no events.
    pub cursor: Option<u64>,
    digest: [u8; 32],
}

/// A write that was acknowledged: when, and the id of its event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acknowledged {
    pub returned_ns: u64,
    pub id: u64,
}

impl Union {
    /// Events in any order.
    pub fn new(mut events: Vec<(u64, FeedLine)>) -> Self {
        events.sort_unstable();
        Self(events)
    }

    /// Number of events.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no event.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Id of the newest event; 0: none.
    pub fn newest(&self) -> u64 {
        self.0.last().map_or(0, |(id, _)| *id)
    }

    fn between(&self, after: u64, last: u64) -> &[(u64, FeedLine)] {
        let from = self.0.partition_point(|(id, _)| *id <= after);
        let to = self.0.partition_point(|(id, _)| *id <= last);
        self.0.get(from..to).unwrap_or_default()
    }
}

impl PageSeen {
    /// `page`: what was answered to a request with `after` and `limit`.
    pub fn new(asked_ns: u64, after: u64, limit: usize, page: &FeedPage) -> Self {
        let (events, cursor) = (page.lines.len(), page.cursor);
        Self { asked_ns, after, limit, events, cursor, digest: digest(page.lines.iter()) }
    }

    /// The cursor a reader goes on with.
    pub fn reached(&self) -> u64 {
        self.cursor.unwrap_or(self.after)
    }
}

fn digest<'a>(lines: impl Iterator<Item = &'a FeedLine>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for line in lines {
        hasher.update(line.to_string().as_bytes());
        hasher.update(b"\n");
    }
    *hasher.finalize().as_bytes()
}

fn violation(what: String) -> Violation {
    Violation { oracle: ORACLE, what }
}

/// Pages against the union. `acknowledged`: writes of whose events the ids are known.
pub fn check_pages(pages: &[PageSeen], union: &Union, acknowledged: &[Acknowledged]) -> Vec<Violation> {
    let due = Due::new(acknowledged);
    let wrong = pages.iter().filter_map(|page| torn(page, union).or_else(|| late(page, &due)));
    wrong.take(VIOLATIONS_MAX).map(violation).collect()
}

/// Why the page is no piece of the union.
fn torn(page: &PageSeen, union: &Union) -> Option<String> {
    let PageSeen { after, limit, events, .. } = page;
    let last = page.cursor?;
    let piece = union.between(*after, last);
    let told = format!("page after {after} with limit {limit}: {events} events up to {last}");
    if piece.last().is_none_or(|(id, _)| *id != last) {
        return Some(format!("{told}, which is no event's id"));
    }
    let same = piece.len() == *events && digest(piece.iter().map(|(_, line)| line)) == page.digest;
    (!same).then(|| format!("{told}, but the logs have {} others there", piece.len()))
}

/// Which acknowledged write the page should have had and has not.
fn late(page: &PageSeen, due: &Due) -> Option<String> {
    let due = due.at(page.asked_ns);
    let ends = page.events < page.limit;
    (ends && due > page.reached()).then(|| {
        let (after, reached) = (page.after, page.reached());
        format!(
            "page after {after} ends at {reached}, but event {due} was acknowledged before it was asked for"
        )
    })
}

/// The newest event that was acknowledged by a moment.
struct Due(Vec<Acknowledged>);

impl Due {
    fn new(acknowledged: &[Acknowledged]) -> Self {
        let mut all = acknowledged.to_vec();
        all.sort_unstable();
        let mut newest = 0;
        for one in &mut all {
            newest = newest.max(one.id);
            one.id = newest;
        }
        Self(all)
    }

    fn at(&self, moment_ns: u64) -> u64 {
        let before = self.0.partition_point(|one| one.returned_ns < moment_ns);
        before.checked_sub(1).and_then(|at| self.0.get(at)).map_or(0, |one| one.id)
    }
}

/// What streams told of each user from the beginning on, over all reconnects.
pub fn check_streams(told: &BTreeMap<String, Vec<StreamEvent>>, union: &Union) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (user, events) in told {
        let mut expected = union.0.iter().filter(|(_, line)| line.user == *user);
        let differing = events.iter().find_map(|event| {
            let next = expected.next();
            let same = next.is_some_and(|(id, line)| {
                *id == event.cursor && line.deleted == event.deleted && line.path == event.path
            });
            (!same).then(|| format!("stream of {user}: {event:?}, but the logs have {next:?} there"))
        });
        let missing = expected.next().map(|next| format!("stream of {user} lacks {next:?}"));
        violations.extend(differing.or(missing).map(violation));
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::*;

    const USER: &str = "o1gg96ewuojmopcjbz8895478wdtxtzzuxnfjjz8o8e77csa1ngo";

    fn line(number: u64) -> FeedLine {
        FeedLine { deleted: number.is_multiple_of(3), user: USER.into(), path: format!("/pub/{number}") }
    }

    fn union() -> Union {
        Union::new([50, 20, 40, 10, 30].map(|id| (id, line(id))).to_vec())
    }

    fn page(asked_ns: u64, after: u64, limit: usize, ids: &[u64]) -> PageSeen {
        let lines = ids.iter().copied().map(line).collect();
        PageSeen::new(asked_ns, after, limit, &FeedPage { lines, cursor: ids.last().copied() })
    }

    fn found(page: PageSeen) -> usize {
        let acknowledged = [(100, 20), (200, 10), (300, 50)];
        let acknowledged = acknowledged.map(|(returned_ns, id)| Acknowledged { returned_ns, id });
        check_pages(&[page], &union(), &acknowledged).len()
    }

    #[test]
    fn pieces_of_the_union_pass() {
        assert_eq!(found(page(400, 0, 10, &[10, 20, 30, 40, 50])), 0);
        assert_eq!(found(page(400, 15, 2, &[20, 30])), 0, "a full page may end before the newest event");
        assert_eq!(found(page(400, 50, 2, &[])), 0);
        assert_eq!(found(page(250, 20, 9, &[])), 0, "nothing more was acknowledged by then");
    }

    #[test]
    fn gaps_doubles_and_strangers_are_found() {
        assert_eq!(found(page(0, 0, 9, &[10, 30])), 1, "a gap");
        assert_eq!(found(page(0, 0, 9, &[20])), 1, "a gap at the cursor");
        assert_eq!(found(page(0, 0, 9, &[10, 10, 20])), 1, "twice");
        assert_eq!(found(page(0, 0, 9, &[20, 10])), 1, "out of order");
        assert_eq!(found(page(0, 40, 9, &[60])), 1, "an event nobody has");
    }

    #[test]
    fn a_page_that_lacks_what_was_acknowledged_is_found() {
        assert_eq!(found(page(301, 0, 9, &[10, 20, 30])), 1);
        assert_eq!(found(page(299, 0, 9, &[10, 20, 30])), 0);
        assert_eq!(found(page(250, 0, 9, &[10])), 1, "an earlier acknowledgement with a higher id");
        assert_eq!(found(page(400, 20, 9, &[])), 1, "an empty page");
    }

    #[test]
    fn a_stream_is_the_users_events_in_order() {
        let event = |id: u64| {
            let FeedLine { deleted, user, path } = line(id);
            StreamEvent { deleted, user, path, cursor: id, hash: None }
        };
        let told = |ids: &[u64]| {
            let events = ids.iter().copied().map(event).collect();
            check_streams(&BTreeMap::from([(USER.to_owned(), events)]), &union()).len()
        };
        assert_eq!(told(&[10, 20, 30, 40, 50]), 0);
        for wrong in [&[10, 20, 30, 40][..], &[10, 30, 40, 50], &[10, 20, 20, 30, 40, 50], &[]] {
            assert_eq!(told(wrong), 1, "{wrong:?}");
        }
    }
}
