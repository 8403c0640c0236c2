//! A bound on bytes a second, shared by everyone who holds it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// What was not taken this long ago may still be taken: a sync that hangs for a moment does not cost the rate.
const CREDIT_MAX: Duration = Duration::from_secs(1);

/// Shared by reference: all that hold it have the rate together.
pub struct Rate {
    bytes_per_second: u64,
    free_at: Mutex<Instant>,
}

impl Rate {
    /// Idle: the first bytes go at once.
    pub fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, free_at: Mutex::new(Instant::now()) }
    }

    /// Waits until what was taken before has had its time.
    pub async fn take(&self, bytes: usize) {
        let start = {
            let mut free_at = self.free_at.lock().await;
            let now = Instant::now();
            let start = (*free_at).max(now.checked_sub(CREDIT_MAX).unwrap_or(now));
            let takes = Duration::from_micros(bytes as u64 * 1_000_000 / self.bytes_per_second.max(1));
            *free_at = start + takes;
            start
        };
        sleep_until(start).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_has_its_time() {
        let (rate, began) = (Rate::new(1000), Instant::now());
        rate.take(500).await;
        assert_eq!(began.elapsed(), Duration::ZERO, "an idle rate gives at once");
        rate.take(500).await;
        rate.take(1).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_moment_that_was_missed_is_made_up_for_and_no_more() {
        let (rate, began) = (Rate::new(1000), Instant::now());
        tokio::time::advance(Duration::from_secs(60)).await;
        for _ in 0..30 {
            rate.take(100).await;
        }
        let took = began.elapsed() - Duration::from_secs(60);
        assert_eq!(
            took,
            Duration::from_millis(1_900),
            "the last of three seconds' worth, a second of it saved"
        );
    }
}
