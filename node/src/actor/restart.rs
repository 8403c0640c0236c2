//! When an ended actor starts again.

use std::time::Duration;

use rowhouse_proto::Spread;

/// The policy for an actor that ends without being asked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    Immediate,
    /// Doubling from `base` to `max`; back to `base` after `reset_after` of quiet.
    Exponential {
        base: Duration,
        max: Duration,
        reset_after: Duration,
    },
    /// Stays down: restarting cannot help.
    Park,
}

/// The state behind a policy.
#[derive(Debug)]
pub struct Backoff {
    policy: Restart,
    pauses: rowhouse_proto::Backoff,
}

impl Backoff {
    /// Nothing failed yet.
    pub fn new(policy: Restart) -> Self {
        let (base, max) = match policy {
            Restart::Exponential { base, max, .. } => (base, max),
            Restart::Immediate | Restart::Park => (Duration::ZERO, Duration::ZERO),
        };
        Self { policy, pauses: rowhouse_proto::Backoff::new(base, max, Spread::UpperHalf) }
    }

    /// Starts since the last quiet period, for messages.
    pub fn attempt(&self) -> u32 {
        self.pauses.failures()
    }

    /// The delay before the next start, `None` to park. `ran` is how long the actor lived; `random`
    /// spreads the delay over its upper half, so that actors that died together do not return together.
    pub fn next(&mut self, ran: Duration, random: u64) -> Option<Duration> {
        match self.policy {
            Restart::Immediate => Some(Duration::ZERO),
            Restart::Park => None,
            Restart::Exponential { reset_after, .. } => {
                if ran >= reset_after {
                    self.pauses.reset();
                }
                Some(self.pauses.pause(random))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Restart = Restart::Exponential {
        base: Duration::from_secs(1),
        max: Duration::from_secs(30),
        reset_after: Duration::from_secs(60),
    };

    #[test]
    fn delays_double_up_to_the_maximum_and_reset() {
        let mut backoff = Backoff::new(POLICY);
        let mut last = Duration::ZERO;
        for _ in 0..5 {
            let delay = backoff.next(Duration::ZERO, 0).expect("never parks");
            assert!(delay > last);
            last = delay;
        }
        for _ in 0..40 {
            last = backoff.next(Duration::ZERO, u64::MAX).expect("never parks");
        }
        assert!(last <= Duration::from_secs(30) && last > Duration::from_secs(29));
        let fresh = backoff.next(Duration::from_secs(61), 0).expect("never parks");
        assert_eq!(fresh, Duration::from_millis(500));
    }

    #[test]
    fn parked_stays_parked() {
        assert_eq!(Backoff::new(Restart::Park).next(Duration::MAX, 7), None);
        assert_eq!(Backoff::new(Restart::Immediate).next(Duration::ZERO, 7), Some(Duration::ZERO));
    }
}
