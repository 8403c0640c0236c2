//! Event ids: `tick << b | shard`, below 2^53, so that a double holds them (docs/rules/time.md#event-ids-fit-a-double).
//!
//! b is log2 of the cluster's number of shards, and a tick is 2^(b-12) milliseconds since 2025-01-01. So an id is 41
//! bits of milliseconds above 12 bits, whatever b is. The 12 bits are shared by the time within a millisecond and the
//! shard. Ids thus order by time even between clusters with different b.
//!
//! Only arithmetic lives here. Who hands out ticks, and when one is closed, is the shard's state machine.

use super::slot::SHARD_COUNT_MAX;

/// 2025-01-01T00:00:00Z in unix milliseconds.
pub const EVENT_EPOCH_MS: u64 = 1_735_689_600_000;
/// Bits of an id below its milliseconds.
const BITS_BELOW_MS: u32 = SHARD_COUNT_MAX.trailing_zeros();
/// Bits of milliseconds in an id: enough until 2094.
const MS_BITS: u32 = 41;
const ID_BITS: u32 = MS_BITS + BITS_BELOW_MS;
/// Clocks drive event time no further than this, in May 2090. Above it are four years of ticks: a shard whose clock
/// once ran to the end of time goes on, tick by tick.
const CEILING_MS: u64 = (1 << MS_BITS) - (1 << 37);

/// The layout of event ids, which follows from the cluster's number of shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EventIds {
    shard_bits: u32,
}

impl EventIds {
    /// The layout for this many shards. `None` unless the count is a power of two up to `SHARD_COUNT_MAX`.
    pub fn new(shard_count: u32) -> Option<Self> {
        let valid = shard_count.is_power_of_two() && shard_count <= SHARD_COUNT_MAX;
        valid.then(|| Self { shard_bits: shard_count.trailing_zeros() })
    }

    /// The cluster's number of shards.
    pub fn shard_count(self) -> u32 {
        1 << self.shard_bits
    }

    /// The tick of a unix time in microseconds, clamped to what a clock may ask for.
    pub fn tick(self, unix_us: u64) -> u64 {
        let since_us = unix_us.saturating_sub(EVENT_EPOCH_MS * 1000).min(CEILING_MS * 1000);
        // 51 bits and at most 12 more.
        (since_us << (BITS_BELOW_MS - self.shard_bits)) / 1000
    }

    /// The largest tick `tick` gives.
    pub fn ceiling(self) -> u64 {
        CEILING_MS << (BITS_BELOW_MS - self.shard_bits)
    }

    /// The largest tick an id can hold.
    pub fn last_tick(self) -> u64 {
        (1 << (ID_BITS - self.shard_bits)) - 1
    }

    /// The id of the event a shard wrote at `tick`, which is at most `last_tick`.
    pub fn id(self, tick: u64, shard: u32) -> u64 {
        tick << self.shard_bits | u64::from(shard % self.shard_count())
    }

    /// The tick within an id, and so within any cursor.
    pub fn tick_of(self, id: u64) -> u64 {
        id >> self.shard_bits
    }

    /// The shard within an id.
    pub fn shard_of(self, id: u64) -> u32 {
        // Below the shard count.
        (id & u64::from(self.shard_count() - 1)) as u32
    }
}

/// Unix milliseconds of an id. They stand at the same place whatever the number of shards.
pub fn unix_ms_of(id: u64) -> u64 {
    EVENT_EPOCH_MS + (id >> BITS_BELOW_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn layout(shard_bits: u32) -> EventIds {
        EventIds::new(1 << shard_bits).expect("a power of two up to 4096")
    }

    #[test]
    fn only_powers_of_two_up_to_4096_are_shard_counts() {
        for shard_count in [0, 3, 4095, 4097, 8192] {
            assert_eq!(EventIds::new(shard_count), None);
        }
        for shard_bits in 0..=12 {
            assert_eq!(layout(shard_bits).shard_count(), 1 << shard_bits);
        }
    }

    #[test]
    fn a_millisecond_holds_4096_ids_in_every_layout() {
        for shard_bits in 0..=12 {
            let ids = layout(shard_bits);
            let at = |ms: u64| ids.id(ids.tick((EVENT_EPOCH_MS + ms) * 1000), 0);
            assert_eq!((at(0), at(1), at(1000)), (0, 1 << 12, 1000 << 12), "{shard_bits} bits");
        }
    }

    #[test]
    fn times_outside_the_epoch_are_clamped_below_the_end() {
        for shard_bits in 0..=12 {
            let ids = layout(shard_bits);
            assert_eq!(ids.tick(0), 0);
            assert_eq!(ids.tick(u64::MAX), ids.ceiling());
            let years = (ids.last_tick() - ids.ceiling()) >> (12 - shard_bits);
            assert!(years > 4 * 365 * 86_400_000, "four years of ticks are left");
            assert_eq!(ids.id(ids.last_tick(), SHARD_COUNT_MAX - 1), (1 << 53) - 1);
        }
    }

    proptest! {
        #[test]
        fn ids_round_trip_and_fit_a_double(
            shard_bits in 0u32..=12,
            us: u64,
            above in 0u64..1_000_000,
            shard in 0u32..4096,
        ) {
            let ids = layout(shard_bits);
            let (tick, shard) = (ids.tick(us) + above, shard % ids.shard_count());
            let id = ids.id(tick, shard);
            prop_assert_eq!((ids.tick_of(id), ids.shard_of(id)), (tick, shard));
            prop_assert!(id < 1 << 53);
            prop_assert_eq!(id as f64 as u64, id);
            if above == 0 && us / 1000 >= EVENT_EPOCH_MS && tick < ids.ceiling() {
                prop_assert_eq!(unix_ms_of(id), us / 1000);
            }
        }

        #[test]
        fn ids_order_by_tick_then_shard(shard_bits in 0u32..=12, one: (u32, u16), other: (u32, u16)) {
            let ids = layout(shard_bits);
            let split = |(tick, shard): (u32, u16)| (u64::from(tick), u32::from(shard) % ids.shard_count());
            let ((a, s), (b, t)) = (split(one), split(other));
            prop_assert_eq!(ids.id(a, s).cmp(&ids.id(b, t)), (a, s).cmp(&(b, t)));
        }

        #[test]
        fn ids_of_another_layout_lie_below_those_of_a_later_millisecond(
            old_bits in 0u32..=12,
            new_bits in 0u32..=12,
            ms in EVENT_EPOCH_MS..EVENT_EPOCH_MS + (1 << 40),
            us in 0u64..1000,
            shard in 0u32..4096,
        ) {
            let (old, new) = (layout(old_bits), layout(new_bits));
            let before = old.id(old.tick(ms * 1000 + us), shard);
            let after = new.id(new.tick((ms + 1) * 1000), 0);
            prop_assert!(before < after);
        }
    }
}
