//! What must hold in every state, and what must happen in some, so that the bounds reach it.

use stateright::Property;

use crate::reader::Phase;
use crate::shard::{Command, Record, Shard};
use crate::world::{Feed, World};

pub const ORDER: &str = "events of a shard rise in log order";
pub const CLOSURE: &str = "no event follows at or below what is closed";
pub const AGREEMENT: &str = "replicas agree at equal index";
pub const FRONTIER: &str = "the events up to the frontier are final";
pub const FEED: &str = "the pages are the events up to the cursor, each once and in order";
pub const COMPLETE: &str = "a page that is not full ends the events up to the frontier";
pub const READ_YOUR_WRITES: &str = "what was acknowledged before a round is read after it";

pub const CLOSED_IDLE: &str = "a shard without events is closed";
pub const COMMITS_LATE: &str = "a proposal of an earlier leader may commit under a later one";

pub fn all() -> Vec<Property<Feed>> {
    vec![
        Property::always(ORDER, |_, world: &World| world.shards.iter().all(rises)),
        Property::always(CLOSURE, |_, world: &World| world.shards.iter().all(stays_closed)),
        Property::always(AGREEMENT, |_, world: &World| world.shards.iter().all(agrees)),
        Property::always(FRONTIER, |_, world: &World| {
            world.events_to(world.reader.frontier) == world.reader.settled
        }),
        Property::always(FEED, |_, world: &World| is_feed(world)),
        Property::always(COMPLETE, |_, world: &World| {
            !world.reader.is_at_frontier || world.reader.pages == world.reader.settled
        }),
        Property::always(READ_YOUR_WRITES, |_, world: &World| has_acknowledged(world)),
        Property::sometimes(CLOSED_IDLE, |_, world: &World| {
            world.reader.is_at_frontier && !world.reader.pages.is_empty() && world.shards.iter().any(is_idle)
        }),
        Property::sometimes("an idle cluster settles without an entry", |_, world: &World| {
            world.reader.is_at_frontier && world.shards.iter().all(|shard| closes(shard) == 0)
        }),
        Property::sometimes(
            "a leader whose clock is behind writes after another one closed",
            |_, world: &World| world.shards.iter().any(writes_behind),
        ),
        Property::sometimes(COMMITS_LATE, |_, world: &World| world.shards.iter().any(commits_late)),
        Property::sometimes("an old and a new leader have proposals", |_, world: &World| {
            world.shards.iter().any(|shard| shard.term > 0 && shard.tails.iter().all(|tail| !tail.is_empty()))
        }),
        Property::sometimes("a page ends at the frontier", |_, world: &World| {
            let last = world.reader.pages.last();
            world.reader.is_at_frontier && last.is_some_and(|(tick, _)| *tick == world.reader.frontier)
        }),
        Property::sometimes("a page ends below the frontier", |_, world: &World| {
            let reader = &world.reader;
            reader.phase == Phase::Idle
                && !reader.pages.is_empty()
                && reader.pages.len() < reader.settled.len()
        }),
        Property::sometimes("an event lies beyond the frontier while a page is read", |_, world: &World| {
            matches!(world.reader.phase, Phase::Reading { .. })
                && world.shards.iter().any(|shard| shard.led().last_event() > world.reader.frontier)
        }),
        Property::sometimes("a replica that lags is read", |_, world: &World| {
            let frontier = world.reader.frontier;
            let lags = |shard: &Shard| shard.lags() && shard.records[shard.follower()].closed() >= frontier;
            matches!(world.reader.phase, Phase::Reading { .. }) && world.shards.iter().any(lags)
        }),
        Property::sometimes("a replica is too far behind to be read", |_, world: &World| {
            let frontier = world.reader.frontier;
            let behind = |shard: &Shard| shard.records[shard.follower()].closed() < frontier;
            matches!(world.reader.phase, Phase::Reading { .. }) && world.shards.iter().any(behind)
        }),
        Property::sometimes("a reader resumes at another gateway", |_, world: &World| {
            world.reader.frontier == 0
                && !world.reader.pages.is_empty()
                && matches!(world.reader.phase, Phase::Asking { .. })
        }),
    ]
}

fn rises(shard: &Shard) -> bool {
    shard.records.iter().all(|record| record.events.is_sorted_by(|a, b| a < b))
}

/// Nothing that one replica applied beyond another one lies at or below what is closed there.
fn stays_closed(shard: &Shard) -> bool {
    let follows = |ahead: &Record, behind: &Record| {
        let later = ahead.events.get(behind.events.len()..).unwrap_or(&[]);
        ahead.applied < behind.applied || later.iter().all(|t| *t > behind.closed())
    };
    let [one, other] = &shard.records;
    follows(one, other) && follows(other, one)
}

fn agrees(shard: &Shard) -> bool {
    let [one, other] = &shard.records;
    one.applied != other.applied || (one.last_t == other.last_t && one.events == other.events)
}

fn is_feed(world: &World) -> bool {
    let pages = &world.reader.pages;
    let Some(cursor) = pages.last() else { return true };
    let mut expected = world.events_to(cursor.0);
    expected.retain(|id| id <= cursor);
    *pages == expected
}

fn has_acknowledged(world: &World) -> bool {
    let reader = &world.reader;
    let read = |shard: usize| reader.pages.iter().filter(|(_, of)| *of == shard).count();
    !reader.is_at_frontier || (0..world.shards.len()).all(|shard| read(shard) >= reader.acknowledged[shard])
}

fn closes(shard: &Shard) -> usize {
    shard.log.iter().filter(|entry| matches!(entry.command, Command::Close { .. })).count()
}

fn is_idle(shard: &Shard) -> bool {
    shard.events().is_empty() && closes(shard) > 0
}

/// A put follows the `Close` of an earlier leader and carries a time that was closed by it.
fn writes_behind(shard: &Shard) -> bool {
    shard.log.windows(2).any(|pair| match (pair[0].command, pair[1].command) {
        (Command::Close { tick }, Command::Put { hlc }) => pair[0].term < pair[1].term && hlc <= tick,
        _ => false,
    })
}

/// The leader's own proposal waits behind one of an earlier leader.
fn commits_late(shard: &Shard) -> bool {
    let tail = &shard.tails[shard.leader];
    tail.first().is_some_and(|entry| entry.term < shard.term)
        && tail.last().is_some_and(|entry| entry.term == shard.term)
}
