//! Large bodies on their way right now, so that kills can strike amid them.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use rowhouse_proto::lock::lock;

use super::content::Sizes;
use crate::history::{Action, Key, Outcome};

/// A kill waits so long for a large body at most.
const WAIT_MAX: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(1);

/// Direction of a large body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    Upload,
    Download,
}

/// Counts large bodies under way, and knows which files are large.
#[derive(Default)]
pub struct InFlight {
    uploads: AtomicUsize,
    downloads: AtomicUsize,
    /// Files last known to be large.
    large: Mutex<BTreeSet<Key>>,
}

/// Under way while this lives.
pub struct UnderWay<'a>(&'a AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl InFlight {
    /// Notes an operation until the returned guard is dropped; `None` if no large body is concerned.
    pub fn begin(&self, key: &Key, action: Action, sizes: Sizes) -> Option<UnderWay<'_>> {
        let transfer = match action {
            Action::Put(value) if sizes.is_large(value) => Transfer::Upload,
            Action::Read if self.large().contains(key) => Transfer::Download,
            _ => return None,
        };
        let counter = self.counter(transfer);
        counter.fetch_add(1, Ordering::Relaxed);
        Some(UnderWay(counter))
    }

    /// Remembers whether the file at the key is large now, as far as this client knows.
    pub fn ended(&self, key: &Key, action: Action, outcome: Outcome, sizes: Sizes) {
        match (action, outcome) {
            (Action::Put(value), Outcome::Done) if sizes.is_large(value) => {
                self.large().insert(key.clone());
            }
            (Action::Put(_) | Action::Delete, Outcome::Done) => {
                self.large().remove(key);
            }
            _ => {}
        }
    }

    /// Returns once a large body travels in this direction, or after `WAIT_MAX`.
    pub async fn wait_for(&self, transfer: Transfer) {
        let waiting = async {
            while !self.has(transfer) {
                tokio::time::sleep(POLL).await;
            }
        };
        // A run without large bodies goes on without.
        let _ = tokio::time::timeout(WAIT_MAX, waiting).await;
    }

    /// Whether a large body travels in this direction now.
    pub fn has(&self, transfer: Transfer) -> bool {
        self.counter(transfer).load(Ordering::Relaxed) > 0
    }

    fn counter(&self, transfer: Transfer) -> &AtomicUsize {
        match transfer {
            Transfer::Upload => &self.uploads,
            Transfer::Download => &self.downloads,
        }
    }

    fn large(&self) -> MutexGuard<'_, BTreeSet<Key>> {
        lock(&self.large)
    }
}
