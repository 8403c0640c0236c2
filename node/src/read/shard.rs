//! The shard's own record: its clocks, for feeds, and its totals, for operators.

use rowhouse_proto::wire::shard::Stats;
use rowhouse_raft::Error;
use rowhouse_raft::state::View;

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
