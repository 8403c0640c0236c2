//! The FIFO between submitters and the log writer's thread. Pushing never waits for the disk; what may
//! be pushed is bounded by `TailBudget` (see `LogEngine::submit`).

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard};

use super::engine::{LogOp, OnDurable};
use crate::lock::{lock, wait};

/// Bytes of one write: large enough to be worth an fsync, small enough to keep its latency.
const WRITE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Steps of one write, for the same reason.
const WRITE_OPS_MAX: usize = 4_096;
/// Submissions that wait for no sync and gather until then: a few for each group of a node.
const UNSYNCED_MAX: usize = 1_024;

pub(crate) struct Submission {
    pub(crate) ops: Vec<LogOp>,
    pub(crate) sync: bool,
    pub(crate) bytes: usize,
    pub(crate) on_durable: OnDurable,
}

impl Submission {
    pub(crate) fn new(ops: Vec<LogOp>, sync: bool, on_durable: OnDurable) -> Self {
        let bytes = ops.iter().map(LogOp::bytes).sum();
        // A purge raises a floor, which may rest on synced records only.
        let sync = sync || ops.iter().any(|op| matches!(op, LogOp::Purge { .. }));
        Self { ops, sync, bytes, on_durable }
    }
}

#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
}

#[derive(Default)]
struct Waiting {
    submissions: VecDeque<Submission>,
    closed: bool,
}

impl Waiting {
    fn idle(&self) -> bool {
        let urgent = self.submissions.iter().any(|submission| submission.sync);
        !urgent && !self.closed && self.submissions.len() < UNSYNCED_MAX
    }
}

impl Queue {
    /// A submission that nobody waits for does not wake the writer: it goes with the next that does.
    pub(super) fn push(&self, submission: Submission) {
        let mut waiting = self.waiting();
        let urgent = submission.sync || waiting.submissions.len() >= UNSYNCED_MAX;
        waiting.submissions.push_back(submission);
        drop(waiting);
        if urgent {
            self.filled.notify_one();
        }
    }

    /// No more submissions will come.
    pub(super) fn close(&self) {
        self.waiting().closed = true;
        self.filled.notify_one();
    }

    /// Waits for submissions and takes all of them up to the size of one write; `None` once the queue
    /// is closed and empty.
    pub(super) fn take(&self) -> Option<Vec<Submission>> {
        let mut waiting = self.waiting();
        while waiting.idle() {
            waiting = wait(&self.filled, waiting);
        }
        if waiting.submissions.is_empty() {
            return None;
        }
        let (mut bytes, mut ops, mut taken) = (0, 0, 0);
        for submission in &waiting.submissions {
            bytes += submission.bytes;
            ops += submission.ops.len();
            if taken > 0 && (bytes > WRITE_BYTES_MAX || ops > WRITE_OPS_MAX) {
                break;
            }
            taken += 1;
        }
        Some(waiting.submissions.drain(..taken).collect())
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        lock(&self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::log_store::LogRecord;

    fn append(bytes: usize) -> Submission {
        let records = vec![LogRecord { index: 1, bytes: Bytes::from(vec![0; bytes]) }];
        Submission::new(vec![LogOp::Append { replica: 1, records, trace: None }], true, Box::new(drop))
    }

    #[test]
    fn one_write_takes_what_fits_and_at_least_one() {
        let queue = Queue::default();
        queue.push(append(2 * WRITE_BYTES_MAX));
        queue.push(append(WRITE_BYTES_MAX / 2));
        queue.push(append(WRITE_BYTES_MAX / 4));
        queue.push(append(WRITE_BYTES_MAX / 2));
        queue.close();
        let taken: Vec<usize> = std::iter::from_fn(|| queue.take()).map(|batch| batch.len()).collect();
        assert_eq!(taken, [1, 2, 1]);
    }

    #[test]
    fn a_purge_is_always_synced() {
        let purge = Submission::new(vec![LogOp::Purge { replica: 1, upto: 3 }], false, Box::new(drop));
        assert!(purge.sync);
    }
}
