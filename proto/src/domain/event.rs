//! Event ids: `t << 12 | shard`, t in microseconds since 2025-01-01 (consensus.md §6).
//!
//! Only arithmetic lives here. Who hands out t, and when a time is closed, is the shard's state machine.

use super::slot::SHARD_COUNT_MAX;

/// 2025-01-01T00:00:00Z in unix microseconds: late enough for 51 bits to last until 2096.
pub const EVENT_EPOCH_US: u64 = 1_735_689_600_000_000;
/// Bits of the shard's number below the time.
pub const SHARD_BITS: u32 = SHARD_COUNT_MAX.trailing_zeros();
/// 51 bits: ids stay below 2^63, which Pubky's clients rely on.
pub const EVENT_TIME_MAX: u64 = (1 << 51) - 1;

/// Event time of a unix time in microseconds, clamped to what an id can hold.
pub fn event_time(unix_us: u64) -> u64 {
    unix_us.saturating_sub(EVENT_EPOCH_US).min(EVENT_TIME_MAX)
}

/// The id of the event a shard wrote at `t`.
pub fn event_id(t: u64, shard: u32) -> u64 {
    t << SHARD_BITS | u64::from(shard % SHARD_COUNT_MAX)
}

/// The event time within an id, and so within any cursor.
pub fn time_of_id(id: u64) -> u64 {
    id >> SHARD_BITS
}

/// The shard within an id.
pub fn shard_of_id(id: u64) -> u32 {
    (id & u64::from(SHARD_COUNT_MAX - 1)) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_order_by_time_then_shard_and_round_trip() {
        let id = event_id(7, 4095);
        assert_eq!((time_of_id(id), shard_of_id(id)), (7, 4095));
        assert!(event_id(7, 4095) < event_id(8, 0));
        assert!(event_id(7, 1) < event_id(7, 2));
        assert!(i64::try_from(event_id(EVENT_TIME_MAX, SHARD_COUNT_MAX - 1)).is_ok());
    }

    #[test]
    fn times_outside_the_epoch_are_clamped() {
        assert_eq!(event_time(0), 0);
        assert_eq!(event_time(EVENT_EPOCH_US + 5), 5);
        assert_eq!(event_time(u64::MAX), EVENT_TIME_MAX);
    }
}
