//! Watches whether the disk of the log answers (docs/rules/storage.md#a-disk-that-hangs).

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use crate::Error;
use crate::actor::Pace;
use crate::local::Local;

const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Far above the slowest sync of a disk that works, far below the patience of clients.
const HANGS_AFTER: Duration = Duration::from_secs(2);

/// Judges the disk and has the host act on it, until stopped.
pub async fn run(local: &Local, stop: CancellationToken) -> Result<(), Error> {
    let progress = local.engine.progress();
    let (mut pace, mut waits) = (Pace::new(LOOK_EVERY, stop), [Wait::default(), Wait::default()]);
    while pace.goes_on().await {
        // As judged last, perhaps in an earlier life of this actor.
        let hung = progress.hangs();
        let now = Instant::now();
        let longest =
            waits.iter_mut().zip(progress.waiting()).map(|(wait, waiting)| wait.look(waiting, now)).max();
        let hangs = longest.unwrap_or_default() >= HANGS_AFTER;
        // Before it is told: the log may be on the same disk.
        if hangs || hung {
            local.host.judge_log(hangs);
        }
        if hangs && !hung {
            error!(
                "the disk of the log has not answered for {HANGS_AFTER:?}: others shall lead what this node leads"
            );
        }
        if hung && !hangs {
            info!("the disk of the log answers again");
        }
    }
    Ok(())
}

/// For how long the same submission is the next to be answered.
#[derive(Default)]
struct Wait(Option<(u64, Instant)>);

impl Wait {
    fn look(&mut self, waiting: Option<u64>, now: Instant) -> Duration {
        let Some(answered) = waiting else {
            self.0 = None;
            return Duration::ZERO;
        };
        match self.0 {
            Some((before, since)) if before == answered => now.saturating_duration_since(since),
            _ => {
                self.0 = Some((answered, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_hangs_that_answers_nothing_and_not_one_that_is_slow_or_idle() {
        let (mut wait, began) = (Wait::default(), Instant::now());
        let at = |seconds| began + Duration::from_secs(seconds);
        assert_eq!(wait.look(Some(7), at(0)), Duration::ZERO);
        assert_eq!(wait.look(Some(7), at(3)), Duration::from_secs(3));
        assert_eq!(wait.look(Some(8), at(4)), Duration::ZERO, "one was answered");
        assert_eq!(wait.look(None, at(9)), Duration::ZERO, "nothing waits");
        assert_eq!(wait.look(Some(8), at(20)), Duration::ZERO, "it waits since now");
        assert_eq!(wait.look(Some(8), at(21)), Duration::from_secs(1));
    }
}
