//! When a leader has its group's replicas compare their states.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use openraft::{Instant, LogIdOptionExt};

use super::handle::Group;
use crate::Envelope;
use crate::error::ProposeError;
use crate::runtime::Runtime;
use crate::state::{Applied, StateCheck};

/// A comparison is due after so many entries, or when some have waited so long. A group nobody writes to
/// compares nothing.
#[derive(Clone, Copy, Debug)]
pub struct CheckPace {
    pub entries: u64,
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
    fn is_due(&self, applied: &Applied, pace: &CheckPace) -> bool {
        let mut since = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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

impl<R: Runtime> Group<R> {
    /// Takes the next step of a comparison, if one is due and this replica leads: the replicas note their
    /// hashes, then compare.
    pub(crate) async fn check_state(&self, pace: &CheckPace) -> Result<(), ProposeError> {
        let applied = self.applied();
        let check = match applied.noted {
            Some(hash) => StateCheck::Compare { index: applied.checked, hash },
            None if self.unchecked.is_due(&applied, pace) => StateCheck::Note,
            None => return Ok(()),
        };
        self.write(Envelope::of_check(check)).await.map(drop)
    }
}
