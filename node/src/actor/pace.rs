//! The beat of a loop that looks at the same thing again and again.

use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

/// Beats until its actor is told to stop. Beats that were missed are not made up for.
pub struct Pace {
    beats: Interval,
    stop: CancellationToken,
}

impl Pace {
    /// The first beat comes at once.
    pub fn new(every: Duration, stop: CancellationToken) -> Self {
        let mut beats = tokio::time::interval(every);
        beats.set_missed_tick_behavior(MissedTickBehavior::Skip);
        Self { beats, stop }
    }

    /// Waits for the next beat; `false` once it is time to end.
    pub async fn goes_on(&mut self) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => false,
            _ = self.beats.tick() => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const EVERY: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn missed_beats_are_skipped_and_a_stop_ends_it_at_once() {
        let stop = CancellationToken::new();
        let mut pace = Pace::new(EVERY, stop.clone());
        let began = Instant::now();
        assert!(pace.goes_on().await);
        assert_eq!(began.elapsed(), Duration::ZERO, "the first one comes at once");
        tokio::time::advance(EVERY * 5 / 2).await;
        assert!(pace.goes_on().await && pace.goes_on().await);
        assert_eq!(began.elapsed(), EVERY * 3, "two and a half beats late: one now, the next in time");
        stop.cancel();
        assert!(!pace.goes_on().await);
        assert_eq!(began.elapsed(), EVERY * 3);
    }
}
