//! Counters of the store, for status and metrics. Nothing decides by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// One for each open store, since it was opened.
#[derive(Debug, Default)]
pub struct BlobMetrics {
    /// Syncs of segments: one for all that waited together.
    pub syncs: AtomicU64,
    /// Records written, moved ones among them.
    pub records: AtomicU64,
    /// Bytes of these, headers included.
    pub bytes: AtomicU64,
    /// Bytes accepted and not yet written.
    pub queued_bytes: AtomicU64,
}

impl BlobMetrics {
    /// A job of so many bytes was accepted.
    pub(super) fn queued(&self, bytes: u64) {
        self.queued_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Accepted jobs of so many bytes together were written or refused.
    pub(super) fn dequeued(&self, bytes: u64) {
        self.queued_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// So many records were written and synced together.
    pub(super) fn written(&self, records: usize, bytes: u64) {
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.records.fetch_add(records as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}
