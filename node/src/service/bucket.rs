//! The arithmetic of one bucket of cells, after the generic cell rate algorithm. Pure: time is what the caller says.

use std::num::NonZeroU32;

/// The longest period that a rate may name: a day.
pub const PERIOD_MS_MAX: u64 = 24 * 3600 * 1000;
const NS_PER_MS: u64 = 1_000_000;

/// How fast a bucket fills, and how much it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Cells that come in each period, evenly.
    pub cells: NonZeroU32,
    /// 1 to `PERIOD_MS_MAX`.
    pub period_ms: u64,
    /// Cells of a full bucket.
    pub burst: NonZeroU32,
}

impl Rate {
    /// Time in which so many cells come, rounded up: no rounding ever lets a cell too many through.
    fn time_ns(&self, cells: u32) -> u64 {
        let period_ns = u128::from(self.period_ms * NS_PER_MS);
        let time_ns = (u128::from(cells) * period_ns).div_ceil(u128::from(self.cells.get()));
        u64::try_from(time_ns).unwrap_or(u64::MAX)
    }
}

/// The state of a bucket: the moment at which it will be full if nobody takes any more. In the past: it is full.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bucket {
    /// In ns of the caller's clock.
    pub full_at_ns: u64,
}

/// The answer to a wish for cells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// The bucket as it is now, and the time until the cells are there.
    Granted { bucket: Bucket, wait_ns: u64 },
    /// Nothing was taken. This wish is granted after so long.
    Refused { retry_after_ns: u64 },
}

impl Bucket {
    /// Takes cells that are there, or will be within `wait_max_ms`.
    pub fn take(self, rate: &Rate, cells: u32, wait_max_ms: u32, now_ns: u64) -> Take {
        let (depth, wait_max) = (rate.time_ns(rate.burst.get()), u64::from(wait_max_ms) * NS_PER_MS);
        // By its present rate it cannot be emptier: what was taken at a slower rate does not hold up a faster one.
        let emptiest = now_ns.saturating_add(depth).saturating_add(wait_max);
        let before = self.full_at_ns.clamp(now_ns, emptiest);
        let full_at_ns = before.saturating_add(rate.time_ns(cells));
        let wait_ns = full_at_ns.saturating_sub(depth).saturating_sub(now_ns);
        if wait_ns <= wait_max {
            Take::Granted { bucket: Self { full_at_ns }, wait_ns }
        } else {
            Take::Refused { retry_after_ns: wait_ns - wait_max }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(cells: u32, period_ms: u64, burst: u32) -> Rate {
        let number = |number| NonZeroU32::new(number).expect("not 0");
        Rate { cells: number(cells), period_ms, burst: number(burst) }
    }

    #[test]
    fn a_burst_is_granted_and_then_one_cell_each_interval() {
        let per_minute = rate(10, 60_000, 10);
        let (mut bucket, mut granted) = (Bucket::default(), 0);
        let start = 1_000_000_000_000;
        for _ in 0..12 {
            match bucket.take(&per_minute, 1, 0, start) {
                Take::Granted { bucket: after, wait_ns } => {
                    assert_eq!(wait_ns, 0);
                    (bucket, granted) = (after, granted + 1);
                }
                Take::Refused { retry_after_ns } => assert_eq!(retry_after_ns, 6_000_000_000),
            }
        }
        assert_eq!(granted, 10);
        let later = start + 6_000_000_000;
        assert!(matches!(bucket.take(&per_minute, 1, 0, later), Take::Granted { .. }));
    }

    #[test]
    fn cells_that_will_be_there_are_taken_with_the_time_until_then() {
        let per_second = rate(4, 1_000, 4);
        let Take::Granted { bucket, wait_ns } = Bucket::default().take(&per_second, 6, 1_000, 0) else {
            panic!("within a second")
        };
        assert_eq!(wait_ns, 500_000_000);
        assert_eq!(
            bucket.take(&per_second, 4, 1_000, 0),
            Take::Refused { retry_after_ns: 500_000_000 },
            "half of them are there after more than a second"
        );
    }

    #[test]
    fn what_was_taken_slowly_does_not_hold_up_a_faster_rate() {
        let slow = rate(1, PERIOD_MS_MAX, 1);
        let Take::Granted { bucket, .. } = Bucket::default().take(&slow, 1, 0, 0) else { panic!("full") };
        assert!(matches!(bucket.take(&slow, 1, 0, 1), Take::Refused { .. }));
        let fast = rate(1_000, 1_000, 1_000);
        let taken = bucket.take(&fast, 1, 1_000, 1);
        assert_eq!(
            taken,
            Take::Refused { retry_after_ns: 1_000_000 },
            "at most as empty as the faster one can be"
        );
    }

    proptest! {
        /// In no span of time more than the burst and what came meanwhile; and who waits as told is granted.
        #[test]
        fn no_span_gives_more_than_its_burst_and_what_came(
            cells in 1..5_000_u32,
            period_ms in 1..=PERIOD_MS_MAX,
            burst in 1..5_000_u32,
            wishes in proptest::collection::vec((1..50_u32, 0..5_000_000_000_u64), 1..60),
        ) {
            let rate = rate(cells, period_ms, burst);
            let (mut bucket, mut now, mut given) = (Bucket::default(), 1_u64 << 50, Vec::new());
            for (wish, pause) in wishes {
                let wish = wish.min(burst);
                now += pause;
                match bucket.take(&rate, wish, 0, now) {
                    Take::Granted { bucket: after, .. } => {
                        bucket = after;
                        given.push((now, wish));
                    }
                    Take::Refused { retry_after_ns } => {
                        let early = bucket.take(&rate, wish, 0, now + retry_after_ns - 1);
                        prop_assert!(matches!(early, Take::Refused { .. }), "not before");
                        let later = bucket.take(&rate, wish, 0, now + retry_after_ns);
                        prop_assert!(matches!(later, Take::Granted { .. }), "then");
                    }
                }
            }
            for (at, (from, _)) in given.iter().enumerate() {
                let mut sum = 0_u128;
                for (to, wish) in &given[at..] {
                    sum += u128::from(*wish);
                    let period_ns = u128::from(period_ms) * u128::from(NS_PER_MS);
                    let came = u128::from(to - from) * u128::from(cells) / period_ns;
                    prop_assert!(sum <= u128::from(burst) + came + 1, "{sum} of {burst} and {came}");
                }
            }
        }
    }
}
