//! A shard's events in the order of their ids: all of them, or those of some users by the users' own logs, and of
//! these the ones at some paths.

use std::ops::ControlFlow;

use bytes::Bytes;
use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::authorize;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::path::parse_canonical;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::shard::{EventPage, EventRecord, ListEvents};
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, View};

use super::entry::shard_now_s;
use super::merge::{Bounds, Direction, Page, merge};
use crate::apply::ApplyError;
use crate::state::session::{self, Presented};
use crate::state::stored_event::StoredEvent;
use crate::state::{records, tables};

/// Most events of one page.
pub const EVENT_PAGE_MAX: u32 = 1000;
/// Events that match no path are passed over in one page: a few milliseconds' worth.
pub(crate) const PASSED_MAX: usize = 4096;
/// Fewest event times read of a user at once: a seek costs more than some times too many.
const TIMES_MIN: usize = 8;

/// Events of one shard.
pub(crate) struct Selection<'a> {
    /// The shard's own number.
    pub shard: u32,
    pub ids: EventIds,
    /// Exclusive; `None`: from the start, or in reverse from the end.
    pub after: Option<u64>,
    /// Events at later ticks are left out.
    pub tick_max: u64,
    pub direction: Direction,
    /// From 1.
    pub limit: usize,
    /// Events that match no path and are passed over, from 1.
    pub passed_max: usize,
    /// Users with their own cursors, as `after`; none: the whole shard.
    pub users: &'a [(UserKey, Option<u64>)],
    pub paths: &'a [StoragePath],
}

/// Answers a client's query. `shard` is the shard's own number; `now_ms` the leader's physical clock.
///
/// The refusal of a path comes before `NotFound` for a user who is not here.
pub fn list_events(
    view: &View<'_>,
    shard: u32,
    query: &ListEvents,
    now_ms: u64,
) -> Result<EventPage, ApplyError> {
    let paths = query.paths.iter().map(|path| parse_canonical(path)).collect::<Result<Vec<_>, _>>()?;
    let users = users_of(query)?;
    if !users.is_empty() {
        may_read(view, query, &users, &paths, now_ms)?;
    }
    for (user, _) in &users {
        records::user(view, user)?.ok_or(ErrorCode::NotFound)?;
    }
    // Nothing was applied yet, or the machine has said what ids are made of.
    let Some(ids) = EventIds::new(records::shard(view)?.shard_count) else { return Ok(EventPage::default()) };
    let direction = Direction::of(query.reverse);
    let selection = Selection {
        shard,
        ids,
        after: cursor(query.after, direction),
        tick_max: ids.last_tick(),
        direction,
        limit: page_limit(query.limit),
        passed_max: PASSED_MAX,
        users: &users,
        paths: &paths,
    };
    let page = events(view, &selection, &mut |id, event| Ok(record(id, &event)))?;
    Ok(EventPage {
        events: page.items.into_iter().map(|(_, event)| event).collect(),
        reached: page.reached.unwrap_or(0),
    })
}

/// The number of events that a request's `limit` means.
pub(crate) fn page_limit(limit: u32) -> usize {
    match limit {
        0 => EVENT_PAGE_MAX as usize,
        limit => limit.min(EVENT_PAGE_MAX) as usize,
    }
}

/// The bound that a request's `after` means.
pub(crate) fn cursor(after: u64, direction: Direction) -> Option<u64> {
    (direction == Direction::Ascending || after != 0).then_some(after)
}

fn users_of(query: &ListEvents) -> Result<Vec<(UserKey, Option<u64>)>, ErrorCode> {
    let direction = Direction::of(query.reverse);
    query
        .users
        .iter()
        .map(|wanted| Ok((user::parse(&wanted.user)?, cursor(wanted.after, direction))))
        .collect()
}

/// Clients may read the paths they name, as by GET; an operator all.
fn may_read(
    view: &View<'_>,
    query: &ListEvents,
    users: &[(UserKey, Option<u64>)],
    paths: &[StoragePath],
    now_ms: u64,
) -> Result<(), ApplyError> {
    let presented = Presented::in_query(query.credential.as_ref());
    if matches!(presented, Some(Presented::Operator)) {
        return Ok(());
    }
    if paths.is_empty() {
        return Err(ErrorCode::ReadOutsideRoots.into());
    }
    if paths.iter().all(authorize::is_open_read) {
        return Ok(());
    }
    for (tenant, _) in users {
        let session = match presented {
            None => None,
            presented => session::resolve(view, presented, tenant, shard_now_s(view, now_ms)?)?,
        };
        for path in paths {
            authorize::read(session.as_ref(), tenant, path)?;
        }
    }
    Ok(())
}

/// Makes an item of a page of an event and its id.
type Keep<'k, T> = dyn FnMut(u64, StoredEvent<'_>) -> Result<T, Error> + 'k;

/// One page of the selection, of what `keep` makes of its events.
pub(crate) fn events<T>(
    view: &View<'_>,
    selection: &Selection<'_>,
    keep: &mut Keep<'_, T>,
) -> Result<Page<T>, Error> {
    if selection.users.is_empty() { of_shard(view, selection, keep) } else { of_users(view, selection, keep) }
}

fn record(id: u64, event: &StoredEvent<'_>) -> EventRecord {
    EventRecord {
        id,
        deleted: event.hash.is_empty(),
        user: Bytes::copy_from_slice(event.user),
        path: event.path.to_owned(),
        hash: Bytes::copy_from_slice(event.hash),
    }
}

fn of_shard<T>(view: &View<'_>, selection: &Selection<'_>, keep: &mut Keep<'_, T>) -> Result<Page<T>, Error> {
    let (from, to) = selection.ticks(selection.after);
    let (from, to) = (tables::event(from), end_of(tables::EVENT, &[], to));
    let mut page = Page { items: Vec::new(), reached: None };
    let mut passed = 0;
    scan(view, &from, &to, selection.direction, &mut |key, value| {
        let tick = tick_in(&key[1..])?;
        let id = selection.ids.id(tick, selection.shard);
        if selection.is_before(id, selection.after) {
            return Ok(ControlFlow::Continue(()));
        }
        let event = StoredEvent::read(value)?;
        if selection.is_at_a_path(event.path) {
            page.items.push((id, keep(id, event)?));
        } else {
            passed += 1;
        }
        if page.items.len() < selection.limit && passed < selection.passed_max {
            return Ok(ControlFlow::Continue(()));
        }
        page.reached = Some(id);
        Ok(ControlFlow::Break(()))
    })?;
    Ok(page)
}

/// By the users' own logs, which hold times only: an event is read when its turn comes.
fn of_users<T>(view: &View<'_>, selection: &Selection<'_>, keep: &mut Keep<'_, T>) -> Result<Page<T>, Error> {
    let mut page = Page { items: Vec::new(), reached: selection.after };
    let mut passed = 0;
    loop {
        let wanted = selection.limit - page.items.len();
        let times = times_of_users(view, selection, page.reached, wanted)?;
        for (id, tick) in times.items {
            let Some(value) = view.get(&tables::event(tick))? else {
                return Err(Error::corrupt("event", "a user's log names one that is missing"));
            };
            let event = StoredEvent::read(&value)?;
            if selection.is_at_a_path(event.path) {
                page.items.push((id, keep(id, event)?));
            } else {
                passed += 1;
            }
        }
        page.reached = times.reached;
        if page.reached.is_none() || page.items.len() == selection.limit || passed >= selection.passed_max {
            return Ok(page);
        }
    }
}

/// Times of the users' events behind `after`, merged.
fn times_of_users(
    view: &View<'_>,
    selection: &Selection<'_>,
    after: Option<u64>,
    limit: usize,
) -> Result<Page<u64>, Error> {
    let users = selection.users;
    let share = (2 * limit / users.len()).max(TIMES_MIN);
    let bounds = Bounds { limit, asks_max: users.len() + limit };
    merge(users.len(), bounds, selection.direction, |number, from| {
        let (user, own) = &users[number];
        let bounds = [after, *own, from];
        let bound = bounds.into_iter().flatten().max_by_key(|id| selection.direction.rank(*id));
        let (first, last) = selection.ticks(bound);
        let (first, last) = (tables::event_of_user(user, first), end_of(tables::EVENT_OF_USER, user, last));
        let mut page = Page { items: Vec::new(), reached: None };
        scan(view, &first, &last, selection.direction, &mut |key, _| {
            let tick = tick_in(&key[1 + user.len()..])?;
            let id = selection.ids.id(tick, selection.shard);
            if selection.is_before(id, bound) {
                return Ok(ControlFlow::Continue(()));
            }
            page.items.push((id, tick));
            if page.items.len() < share {
                return Ok(ControlFlow::Continue(()));
            }
            page.reached = Some(id);
            Ok(ControlFlow::Break(()))
        })?;
        Ok(page)
    })
}

impl Selection<'_> {
    /// First and last tick of what lies behind `after`. The event at the cursor's own tick may be one of them, if the
    /// cursor is another shard's.
    fn ticks(&self, after: Option<u64>) -> (u64, u64) {
        match (self.direction, after) {
            (_, None) => (0, self.tick_max),
            (Direction::Ascending, Some(after)) => (self.ids.tick_of(after), self.tick_max),
            (Direction::Descending, Some(after)) => (0, self.tick_max.min(self.ids.tick_of(after))),
        }
    }

    /// Whether the cursor has passed this id.
    fn is_before(&self, id: u64, after: Option<u64>) -> bool {
        after.is_some_and(|after| self.direction.rank(id) <= self.direction.rank(after))
    }

    fn is_at_a_path(&self, path: &str) -> bool {
        self.paths.is_empty()
            || self.paths.iter().any(|wanted| {
                let wanted = wanted.as_str();
                if wanted.ends_with('/') { path.starts_with(wanted) } else { path == wanted }
            })
    }
}

/// The first key behind those of `last`.
fn end_of(table: u8, user: &[u8], last: u64) -> bytes::Bytes {
    // Ticks have at most 53 bits.
    tables::key(table, &[user, &last.saturating_add(1).to_be_bytes()])
}

fn tick_in(key: &[u8]) -> Result<u64, Error> {
    key.try_into().map(u64::from_be_bytes).map_err(|_| Error::corrupt("event", "its key is no time"))
}

type See<'v> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error> + 'v;

fn scan(
    view: &View<'_>,
    from: &[u8],
    to: &[u8],
    direction: Direction,
    see: &mut See<'_>,
) -> Result<(), Error> {
    let order = match direction {
        Direction::Ascending => ScanOrder::Ascending,
        Direction::Descending => ScanOrder::Descending,
    };
    let mut failure = None;
    view.scan(from, to, order, &mut |key, value| {
        see(key, value).unwrap_or_else(|error| {
            failure = Some(error);
            ControlFlow::Break(())
        })
    })?;
    failure.map_or(Ok(()), Err)
}
