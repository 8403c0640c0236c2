//! Totals of the snapshots that this node sent and took in. Counters only: nothing decides by them.

use std::sync::atomic::{AtomicU64, Ordering};

/// Since the transport was made.
#[derive(Debug, Default)]
pub struct SnapshotMetrics {
    /// Snapshots that their receiver installed.
    pub sent: AtomicU64,
    /// Transfers that ended otherwise; each is begun anew while it is needed.
    pub send_failed: AtomicU64,
    /// Snapshots installed here.
    pub installed: AtomicU64,
    /// Transfers to this node that broke off or were refused. One that goes on later counts once for each break.
    pub install_failed: AtomicU64,
}

impl SnapshotMetrics {
    pub(super) fn sent<T, E>(&self, sent: &Result<T, E>) {
        count(sent, &self.sent, &self.send_failed);
    }

    pub(super) fn installed<T, E>(&self, installed: &Result<T, E>) {
        count(installed, &self.installed, &self.install_failed);
    }
}

fn count<T, E>(result: &Result<T, E>, done: &AtomicU64, failed: &AtomicU64) {
    let counter = if result.is_ok() { done } else { failed };
    counter.fetch_add(1, Ordering::Relaxed);
}
