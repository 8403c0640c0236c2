//! How many users may be looked at now.

use std::time::Duration;

use tokio::time::Instant;

/// Rests this long are made up for.
const CREDIT_MAX: Duration = Duration::from_secs(1);

/// So many a second, and a second's worth at once.
pub struct Tokens {
    each: Duration,
    free_at: Instant,
}

impl Tokens {
    /// Full.
    pub fn new(per_second: u64) -> Self {
        let now = Instant::now();
        let each = Duration::from_secs(1) / u32::try_from(per_second.max(1)).unwrap_or(u32::MAX);
        Self { each, free_at: now.checked_sub(CREDIT_MAX).unwrap_or(now) }
    }

    /// Whether there is one.
    pub fn is_free(&mut self) -> bool {
        let now = Instant::now();
        self.free_at = self.free_at.max(now.checked_sub(CREDIT_MAX).unwrap_or(now));
        self.free_at + self.each <= now
    }

    /// Takes one that is there.
    pub fn take(&mut self) {
        self.free_at += self.each;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rest_is_made_up_for_by_a_second_and_no_more() {
        let mut tokens = Tokens::new(20);
        let mut taken = || (0..1000).filter(|_| tokens.is_free().then(|| tokens.take()).is_some()).count();
        assert_eq!(taken(), 20);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(taken(), 5);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(taken(), 20);
    }
}
