//! How far the log's syncs are, and whether the disk hangs. The engine counts; somebody with a clock judges.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Counts what is to be synced. A disk that fails ends the process; one that hangs says nothing, and shows here alone.
#[derive(Debug, Default)]
pub struct SyncProgress {
    submitted: AtomicU64,
    answered: AtomicU64,
    hangs: AtomicBool,
}

impl SyncProgress {
    /// Something is to be synced from now on.
    pub fn submitted(&self) {
        self.submitted.fetch_add(1, Ordering::SeqCst);
    }

    /// So many of these are on disk, or have failed.
    pub fn answered(&self, count: u64) {
        self.answered.fetch_add(count, Ordering::SeqCst);
    }

    /// How many were answered so far, while some are not. `None`: nothing waits for the disk.
    pub fn waiting(&self) -> Option<u64> {
        // In this order: what is submitted in between must not make an idle disk look busy.
        let submitted = self.submitted.load(Ordering::SeqCst);
        let answered = self.answered.load(Ordering::SeqCst);
        (answered < submitted).then_some(answered)
    }

    /// The judgement of whoever has a clock.
    pub fn judge(&self, hangs: bool) {
        self.hangs.store(hangs, Ordering::SeqCst);
    }

    /// Whether nothing that needs the disk should be begun: it would wait without end.
    pub fn hangs(&self) -> bool {
        self.hangs.load(Ordering::SeqCst)
    }
}
