//! The log writer's totals, for status and metrics. Counters only: nothing decides by them.

use std::sync::atomic::{AtomicU64, Ordering};

use rowhouse_proto::TraceContext;

/// Totals since the start of the log, but for `queued_bytes`.
#[derive(Debug, Default)]
pub struct LogMetrics {
    /// Synced writes: the fsyncs of group commit.
    pub syncs: AtomicU64,
    /// Writes, synced or not.
    pub writes: AtomicU64,
    /// Submissions written.
    pub submissions: AtomicU64,
    /// Steps written.
    pub ops: AtomicU64,
    /// Bytes of keys and records written.
    pub bytes: AtomicU64,
    /// Bytes submitted and not yet written.
    pub queued_bytes: AtomicU64,
}

/// Told of each sync of the log. It keeps the time: the engine reads no clock.
pub trait SyncTimer: Send + Sync {
    /// A synced write begins. Returns a moment for `ended`.
    fn began(&self) -> u64;

    /// The synced write that began at `began` is on disk. `trace` is of an entry that waited for it, if one has a trace
    /// that is recorded. A write that failed is not told of.
    fn ended(&self, began: u64, trace: Option<&TraceContext>);
}

impl LogMetrics {
    pub(crate) fn queued(&self, bytes: usize) {
        self.queued_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn dequeued(&self, bytes: usize) {
        self.queued_bytes.fetch_sub(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn written(&self, submissions: usize, ops: usize, bytes: usize, synced: bool) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        self.syncs.fetch_add(u64::from(synced), Ordering::Relaxed);
        self.submissions.fetch_add(submissions as u64, Ordering::Relaxed);
        self.ops.fetch_add(ops as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
