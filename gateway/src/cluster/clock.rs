//! The largest hybrid clock value seen in any reply: what a command carries as `issued_at`, so that
//! shards can tell a retry that comes too late (consensus.md §3).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Default)]
pub struct Clock {
    seen_us: AtomicU64,
}

impl Clock {
    pub fn observe(&self, hlc_us: u64) {
        // Replies mostly bring a larger value, but those of other shards may not: skip the write then.
        if hlc_us > self.seen_us.load(Ordering::Relaxed) {
            self.seen_us.fetch_max(hlc_us, Ordering::Relaxed);
        }
    }

    /// Physical time only while no node has answered yet.
    pub fn issued_at_us(&self) -> u64 {
        match self.seen_us.load(Ordering::Relaxed) {
            0 => physical_us(),
            seen => seen,
        }
    }
}

fn physical_us() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_value_seen_wins() {
        let clock = Clock::default();
        assert!(clock.issued_at_us() > 1_600_000_000_000_000, "physical before the first reply");
        clock.observe(50);
        clock.observe(40);
        assert_eq!(clock.issued_at_us(), 50);
    }
}
