//! The shard's own record: its clocks, for feeds, and its totals, for operators.

use rowhouse_proto::wire::shard::Stats;
use rowhouse_raft::Error;
use rowhouse_raft::state::View;

use crate::planted;
use crate::state::records;

/// A shard's clocks at one applied index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShardClock {
    /// Event time in ticks at or below which no event will follow.
    pub closed_t: u64,
    /// Event time of the newest event; 0: none yet.
    pub last_event_t: u64,
    /// Unix time by which windows and expiries are judged.
    pub now_ms: u64,
}

impl ShardClock {
    /// Whether no event at or below `tick` will follow. Then a page up to it may be read of this replica.
    pub fn is_closed_to(&self, tick: u64) -> bool {
        self.closed_t >= tick || planted::emit_past_frontier()
    }

    /// The clock as the shard's leader tells it to a reader that wants the shard closed up to `tick`. `None`: an entry
    /// must close it first, because the next leader knows only what the log says.
    pub fn told(self, tick: u64) -> Option<Self> {
        if planted::close_without_entry() {
            return Some(Self { closed_t: self.closed_t.max(tick), ..self });
        }
        (self.closed_t >= tick).then_some(self)
    }
}

/// The shard's times, as the last applied command left them.
pub fn clock(view: &View<'_>) -> Result<ShardClock, Error> {
    let shard = records::shard(view)?;
    Ok(ShardClock { closed_t: shard.last_t, last_event_t: shard.last_event_t, now_ms: shard.now_ms })
}

/// The shard's totals.
pub fn stats(view: &View<'_>) -> Result<Stats, Error> {
    let shard = records::shard(view)?;
    Ok(Stats { users: shard.users, disabled_users: shard.disabled_users, used_bytes: shard.used_bytes })
}
