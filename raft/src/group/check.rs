//! When a leader has its group's replicas compare their states.

use std::sync::Mutex;
use std::time::Duration;

use openraft::{Instant, LogIdOptionExt};

use crate::lock::lock;
use crate::runtime::Runtime;
use crate::state::Applied;

/// A comparison is due after so many entries, or when some have waited so long. A group nobody writes to
/// compares nothing.
#[derive(Clone, Copy, Debug)]
pub struct CheckPace {
    /// Entries since the last comparison after which the next one is due.
    pub entries: u64,
    /// Longest time that an entry waits for a comparison that covers it.
    pub wait: Duration,
}

impl Default for CheckPace {
    /// Two small entries in a thousand, and a difference is found within two minutes.
    fn default() -> Self {
        Self { entries: 1_024, wait: Duration::from_secs(60) }
    }
}

/// Since when this leader has seen entries that no check covers.
pub(super) struct Unchecked<R: Runtime>(Mutex<Option<R::Instant>>);

impl<R: Runtime> Default for Unchecked<R> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<R: Runtime> Unchecked<R> {
    /// Whether the replicas are to be compared now; `true` begins a new wait.
    pub(super) fn is_due(&self, applied: &Applied, pace: &CheckPace) -> bool {
        let mut since = lock(&self.0);
        let entries = applied.log_id.index().unwrap_or(0).saturating_sub(applied.checked);
        if entries == 0 {
            *since = None;
            return false;
        }
        let now = <R::Instant as Instant>::now();
        let due = entries >= pace.entries || *since.get_or_insert(now) + pace.wait <= now;
        if due {
            // What comes after this check waits anew.
            *since = None;
        }
        due
    }
}
