//! `TailBudget`: one node's memory for log tails, and the bound on what waits for the log writer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Weak};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::lock::lock;

/// Bytes of appends that may wait for the writer: four writes of its largest size.
const QUEUED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Less than this would serialize appends on small nodes.
const QUEUED_BYTES_MIN: usize = 1024 * 1024;

/// Which entries of a tail may go.
#[derive(Clone, Copy)]
pub(super) enum Evictable {
    /// Durable and known committed.
    Committed,
    Durable,
}

/// A log whose tail counts against the budget.
pub(super) trait Evict: Send + Sync {
    /// Removes the oldest entries that may go until at most `bytes_max` bytes remain.
    fn evict(&self, evictable: Evictable, bytes_max: usize);
}

/// One node's memory for the tails of its logs.
pub struct TailBudget {
    bytes_max: usize,
    used: AtomicUsize,
    queued_max: usize,
    /// One permit per byte that may still be queued.
    room: Arc<Semaphore>,
    logs: Mutex<Logs>,
}

#[derive(Default)]
struct Logs {
    logs: Vec<Weak<dyn Evict>>,
    /// Where the next search for memory begins, so that no replica always pays.
    next: usize,
}

impl TailBudget {
    /// `bytes_max` is an eighth of the node's budget (docs/rules/storage.md#one-memory-budget).
    pub fn new(bytes_max: usize) -> Arc<Self> {
        let queued_max = (bytes_max / 2).clamp(QUEUED_BYTES_MIN, QUEUED_BYTES_MAX);
        let room = Arc::new(Semaphore::new(queued_max));
        Arc::new(Self { bytes_max, used: AtomicUsize::new(0), queued_max, room, logs: Mutex::default() })
    }

    /// Bytes that all tails hold now.
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Waits until `bytes` more may be queued for the writer; they count until the permit is dropped.
    /// Back-pressure: a slow disk slows the appends of every group on it.
    pub(super) async fn admit(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(bytes.min(self.queued_max)).unwrap_or(u32::MAX);
        // `None` if the semaphore were closed, which nobody does.
        self.room.clone().acquire_many_owned(permits).await.ok()
    }

    pub(super) fn register(&self, log: &Arc<dyn Evict>) {
        let mut logs = lock(&self.logs);
        logs.logs.retain(|log| log.strong_count() > 0);
        logs.logs.push(Arc::downgrade(log));
    }

    /// A tail that held `before` bytes holds `after`.
    pub(super) fn resize(&self, before: usize, after: usize) {
        if after >= before {
            self.used.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.used.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    /// Evicts old entries until the tails fit. First entries that are durable and committed (applying
    /// read them already, or is about to); if that is not enough, whatever is durable. What is not
    /// durable must stay, and is bounded by `admit`.
    pub(super) fn make_room(&self) {
        if self.used() <= self.bytes_max {
            return;
        }
        let mut logs = lock(&self.logs);
        let count = logs.logs.len().max(1);
        let share = self.bytes_max / count;
        for evictable in [Evictable::Committed, Evictable::Durable] {
            for _ in 0..count {
                if self.used() <= self.bytes_max {
                    return;
                }
                let at = logs.next % count;
                logs.next = at + 1;
                if let Some(log) = logs.logs.get(at).and_then(Weak::upgrade) {
                    log.evict(evictable, share);
                }
            }
        }
    }
}
