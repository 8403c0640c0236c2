//! Counters of the work that the keepers of objects have done.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the node started.
#[derive(Default)]
pub struct Progress {
    /// Objects completed from other replicas.
    pub filled: AtomicU64,
    /// Damaged chunks mended from other replicas.
    pub repaired: AtomicU64,
    /// Objects erased because the shard no longer keeps them.
    pub erased: AtomicU64,
    /// Objects erased because no entry knew them.
    pub swept: AtomicU64,
    /// Objects read by the scrub that runs, or by the last one.
    pub scrubbed: AtomicU64,
    /// Unix ms at which a scrub last ended; 0: none has.
    pub scrub_ended_ms: AtomicU64,
}

impl Progress {
    /// One more.
    pub(super) fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}
