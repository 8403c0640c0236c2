//! The cluster's time as nodes' replies tell it, and its own pace since. Changes carry it as `issued_at`, so that
//! shards can tell a retry that comes too late (docs/rules/consensus.md#a-request-applies-once).
//!
//! The gateway's own wall clock has no part in it. Where the cluster corrects its time, the gateway follows.

use std::sync::{Mutex, MutexGuard};

use rowhouse_proto::lock::lock;
use tokio::time::Instant;

/// A reply this far behind what was expected tells of a correction, not of a slow reply. Less than the 60 s at which
/// shards follow one: replies may be lifted by the 10 s that nodes' clocks are ahead at most.
const CORRECTION_US: u64 = 45_000_000;

#[derive(Clone, Copy)]
struct Seen {
    hlc_us: u64,
    at: Instant,
}

impl Seen {
    fn now_us(&self) -> u64 {
        let since = u64::try_from(self.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.hlc_us.saturating_add(since)
    }
}

/// The latest time that a reply told, and when that was.
#[derive(Default)]
pub struct Clock {
    seen: Mutex<Option<Seen>>,
}

impl Clock {
    /// 0 is a node that does not know the time.
    pub fn observe(&self, hlc_us: u64) {
        if hlc_us == 0 {
            return;
        }
        let mut seen = self.seen();
        let is_news = seen
            .is_none_or(|seen| hlc_us > seen.hlc_us || hlc_us.saturating_add(CORRECTION_US) < seen.now_us());
        if is_news {
            *seen = Some(Seen { hlc_us, at: Instant::now() });
        }
    }

    /// `None` until a node has told the time. It does so with the map: before that nothing can be sent.
    pub fn issued_at_us(&self) -> Option<u64> {
        self.seen().map(|seen| seen.now_us())
    }

    /// The largest value nodes told: what is sent from now on comes after it. 0: none yet.
    pub fn seen_hlc_us(&self) -> u64 {
        self.seen().map_or(0, |seen| seen.hlc_us)
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        lock(&self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: u64 = 1_800_000_000_000_000;
    const MINUTE: u64 = 60_000_000;

    #[tokio::test(start_paused = true)]
    async fn time_goes_on_between_replies_and_is_theirs() {
        let clock = Clock::default();
        assert_eq!((clock.issued_at_us(), clock.seen_hlc_us()), (None, 0), "no time of its own");
        clock.observe(0);
        assert_eq!(clock.issued_at_us(), None, "a node that does not know it either");
        clock.observe(START);
        tokio::time::advance(Duration::from_secs(90)).await;
        assert_eq!(clock.issued_at_us(), Some(START + 90_000_000), "silence does not freeze it");
        assert_eq!(clock.seen_hlc_us(), START);
        clock.observe(START + 90_000_000 - 5);
        assert_eq!(
            clock.issued_at_us(),
            Some(START + 90_000_000 - 5),
            "the cluster's pace, not this machine's"
        );
        clock.observe(START + 80_000_000);
        assert_eq!(clock.seen_hlc_us(), START + 90_000_000 - 5, "a reply that was overtaken");
    }

    #[tokio::test(start_paused = true)]
    async fn corrections_are_followed_both_ways() {
        let clock = Clock::default();
        let years = 80 * 365 * 86_400_000_000;
        for told in [START, START + years, START + MINUTE, START + 30 * MINUTE, START + 2 * MINUTE] {
            clock.observe(told);
            assert_eq!((clock.issued_at_us(), clock.seen_hlc_us()), (Some(told), told));
        }
        clock.observe(START + 2 * MINUTE - MINUTE / 2);
        assert_eq!(clock.seen_hlc_us(), START + 2 * MINUTE, "a difference between nodes");
    }
}
