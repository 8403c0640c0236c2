//! A page of events over many shards, from the replicas on this node. Any replica will do that has applied all up to
//! the page's last tick: what a shard closed is final (docs/rules/feed.md#frontier).

use std::ops::Range;
use std::sync::Arc;

use pubky_common::StoragePath;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::domain::path::parse_canonical;
use rowhouse_proto::domain::slot::Slot;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::feed::{PageReply, PageRequest};
use rowhouse_proto::{ErrorCode, EventRow, Malformed, Refusal};
use rowhouse_raft::Error;

use crate::Group;
use crate::local::Local;
use crate::read::{self, Bounds, Direction, Page, Selection};
use crate::state::stored_event::StoredEvent;

/// Fewest events read of a shard at once: a seek costs more than some events too many.
const SHARE_MIN: usize = 16;
/// Events that match no path are passed over in one page of all shards together, about, and of one shard at least.
/// A page that has them all behind it ends early, so that a user with millions of private files delays nobody's page.
const PASSED_ALL_MAX: usize = 4 * read::PASSED_MAX;
const PASSED_MIN: usize = 64;

/// One page, or the shards that are behind. Refused: a malformed path or user. `hlc` is the caller's to fill.
pub fn page(local: &Local, shard_count: u32, request: &PageRequest) -> Result<PageReply, Refusal> {
    let paths = request.paths.iter().map(|path| parse_canonical(path)).collect::<Result<Vec<_>, _>>()?;
    let users = request.users.iter().map(|user| user::parse(user)).collect::<Result<Vec<_>, _>>()?;
    let Some(ids) = EventIds::new(shard_count) else {
        return Ok(PageReply { behind: request.shards.clone(), ..PageReply::default() });
    };
    let (mut shards, mut behind) = (Vec::with_capacity(request.shards.len()), Vec::new());
    for number in &request.shards {
        match local.shard(*number).filter(|group| is_closed(group, request.tick_max)) {
            Some(group) => shards.push(Shard::new(*number, group, ids, &users)),
            None => behind.push(*number),
        }
    }
    if !behind.is_empty() {
        return Ok(PageReply { behind, ..PageReply::default() });
    }
    let mut arena = Vec::new();
    let page = Request { ids, request, paths }.merged(&shards, &mut arena)?;
    let rows: Vec<&[u8]> = page.items.into_iter().map(|(_, at)| &arena[at]).collect();
    Ok(PageReply { rows: rows.concat().into(), reached: page.reached.unwrap_or(0), ..PageReply::default() })
}

/// Whether nothing at or below the tick will follow here. A replica whose state cannot be read is as good as none.
fn is_closed(group: &Group, tick: u64) -> bool {
    group.halted().is_none() && group.read_latest(read::clock).is_ok_and(|clock| clock.is_closed_to(tick))
}

/// A shard, and those of the users who live in it.
struct Shard {
    number: u32,
    group: Arc<Group>,
    users: Vec<(UserKey, Option<u64>)>,
}

impl Shard {
    fn new(number: u32, group: Arc<Group>, ids: EventIds, users: &[UserKey]) -> Self {
        let here = |user: &&UserKey| Slot::of_key(user).shard(ids.shard_count()) == number;
        Self { number, group, users: users.iter().filter(here).map(|user| (*user, None)).collect() }
    }
}

struct Request<'a> {
    ids: EventIds,
    request: &'a PageRequest,
    paths: Vec<StoragePath>,
}

impl Request<'_> {
    /// The page as places in `arena`, to which the rows are appended as they are read: shard by shard, and more of
    /// them than the page has.
    fn merged(&self, shards: &[Shard], arena: &mut Vec<u8>) -> Result<Page<Range<usize>>, Refusal> {
        let direction = Direction::of(self.request.reverse);
        let limit = read::page_limit(self.request.limit);
        let after = read::cursor(self.request.after, direction);
        // A quarter more than an even share: shards are about equally busy, and the rest is read in vain.
        let share = (5 * limit / (4 * shards.len().max(1))).clamp(SHARE_MIN, limit.max(SHARE_MIN));
        let passed_max = (PASSED_ALL_MAX / shards.len().max(1)).max(PASSED_MIN);
        // As many questions as a full page takes where every event matches.
        let bounds = Bounds { limit, asks_max: shards.len() + limit / SHARE_MIN };
        read::merge(shards.len(), bounds, direction, |number, from| {
            let shard = &shards[number];
            // Users were asked for, and none of them lives here.
            if shard.users.is_empty() && !self.request.users.is_empty() {
                return Ok(Page { items: Vec::new(), reached: None });
            }
            let selection = Selection {
                shard: shard.number,
                ids: self.ids,
                after: from.or(after),
                tick_max: self.request.tick_max,
                direction,
                limit: share,
                passed_max,
                users: &shard.users,
                paths: &self.paths,
            };
            let mut keep = |id, event: StoredEvent<'_>| {
                let begin = arena.len();
                let pushed = EventRow::push(arena, id, event.user, event.hash, event.path.as_bytes());
                pushed.map_err(|Malformed| Error::corrupt("event", "its path or its hash is too long"))?;
                Ok(begin..arena.len())
            };
            shard.group.read(|view| read::events(view, &selection, &mut keep)).map_err(|error| {
                tracing::error!(shard = shard.number, %error, "events cannot be read");
                ErrorCode::Internal.into()
            })
        })
    }
}
