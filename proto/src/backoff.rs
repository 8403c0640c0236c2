//! `Backoff`: pauses that double from a first to a longest one. Pure: the caller brings chance and waits.

use std::time::Duration;

/// Doublings beyond this change nothing: the longest pause is reached long before.
const DOUBLINGS_MAX: u32 = 20;

/// Which part of a pause is random, so that those that failed together do not return together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// From half of the pause to all of it.
    UpperHalf,
    /// From the pause to a quarter more.
    QuarterOnTop,
}

/// The pauses of one series of attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    spread: Spread,
    failures: u32,
}

impl Backoff {
    /// A series whose first pause is `first`, and none is longer than `longest` (before `spread`).
    pub const fn new(first: Duration, longest: Duration, spread: Spread) -> Self {
        Self { first, longest, spread, failures: 0 }
    }

    /// Attempts that failed since the beginning or the last `reset`.
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// An attempt succeeded: the next pause is the first one again.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// An attempt failed: the pause before the next one. `random` is uniform over all its values.
    pub fn pause(&mut self, random: u64) -> Duration {
        let doublings = self.failures.min(DOUBLINGS_MAX);
        self.failures = self.failures.saturating_add(1);
        let pause = self.first.saturating_mul(1 << doublings).min(self.longest);
        let share = random as f64 / u64::MAX as f64;
        match self.spread {
            Spread::UpperHalf => pause.mul_f64(0.5 + share / 2.0),
            Spread::QuarterOnTop => pause + pause.mul_f64(share / 4.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(50);
    const LONGEST: Duration = Duration::from_millis(300);

    fn pauses_ms(spread: Spread, random: u64) -> Vec<u128> {
        let mut backoff = Backoff::new(FIRST, LONGEST, spread);
        (0..5).map(|_| backoff.pause(random).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        assert_eq!(pauses_ms(Spread::QuarterOnTop, 0), [50, 100, 200, 300, 300]);
        assert_eq!(pauses_ms(Spread::UpperHalf, u64::MAX), [50, 100, 200, 300, 300]);
    }

    #[test]
    fn chance_spreads_a_pause_within_its_bounds() {
        assert_eq!(pauses_ms(Spread::QuarterOnTop, u64::MAX), [62, 125, 250, 375, 375]);
        assert_eq!(pauses_ms(Spread::UpperHalf, 0), [25, 50, 100, 150, 150]);
    }

    #[test]
    fn a_success_begins_anew_and_failures_without_end_overflow_nothing() {
        let mut backoff = Backoff::new(FIRST, Duration::MAX, Spread::UpperHalf);
        let longest = (0..100).map(|_| backoff.pause(u64::MAX)).max();
        assert_eq!(longest, Some(FIRST * (1 << DOUBLINGS_MAX)));
        assert_eq!(backoff.failures(), 100);
        backoff.reset();
        assert_eq!((backoff.failures(), backoff.pause(u64::MAX)), (0, FIRST));
    }
}
