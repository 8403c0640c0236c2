//! How far the log's syncs are, and whether the disk hangs. The engine counts; somebody with a clock judges.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What is to be synced. A disk that fails ends the process; one that hangs says nothing, and shows here alone.
#[derive(Debug, Default)]
pub struct SyncProgress {
    /// Submissions, which one thread writes.
    pub(crate) submissions: Tally,
    /// Node records, which their callers write: either may go on while the other hangs.
    pub(crate) records: Tally,
    hangs: AtomicBool,
}

/// What began to wait for the disk, and what the disk answered.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    begun: AtomicU64,
    ended: AtomicU64,
}

impl Tally {
    /// Something is to be synced from now on.
    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::SeqCst);
    }

    /// So many of these are on disk, or have failed.
    pub(crate) fn end(&self, count: u64) {
        self.ended.fetch_add(count, Ordering::SeqCst);
    }

    fn waiting(&self) -> Option<u64> {
        // In this order: what begins in between must not make an idle disk look busy.
        let begun = self.begun.load(Ordering::SeqCst);
        let ended = self.ended.load(Ordering::SeqCst);
        (ended < begun).then_some(ended)
    }
}

impl SyncProgress {
    /// Of submissions and of node records, how many were answered so far, while some are not. `None`: none of them waits.
    pub fn waiting(&self) -> [Option<u64>; 2] {
        [self.submissions.waiting(), self.records.waiting()]
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
