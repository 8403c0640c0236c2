//! A bound on bytes a second, shared by everyone who holds it.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

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
            let start = (*free_at).max(Instant::now());
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
}
