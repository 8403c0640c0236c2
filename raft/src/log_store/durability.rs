//! `Durability`: how far one replica's log is durable, and who waits for that.
//!
//! Pure bookkeeping under the lock of `replica_log`, which wakes waiters after it gave the lock back. Every change
//! ends with `assert_valid`; debug and simulation builds carry it out.

use tokio::sync::oneshot;

use super::answer::Answer;
use crate::error::Error;

/// Woken once: durable, or failed.
pub(super) type Waiter = oneshot::Sender<Result<(), Error>>;

/// The event that a waiter waits for.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// Every entry below this index.
    Below(u64),
    /// This submission.
    Submission(u64),
}

/// Where the log stood when something was submitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    submission: u64,
    epoch: u64,
    end: u64,
}

/// How far one replica's log is durable. The default is an empty log.
#[derive(Default, Debug)]
pub(super) struct Durability {
    /// Counts truncations: a sync of what was submitted before one says nothing of the entries after.
    epoch: u64,
    /// Every entry below this index is durable.
    below: u64,
    /// Synced submissions so far, and how many of them are done: the engine answers in order.
    submitted: u64,
    completed: u64,
    waiters: Vec<(Target, Waiter)>,
    failed: Option<String>,
}

impl Durability {
    /// A log that ends before `end`, as the engine had it.
    pub(super) fn opened(end: u64) -> Self {
        Self { below: end, ..Self::default() }
    }

    /// Changes with every truncation.
    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// Every entry below this index is durable.
    pub(super) fn below(&self) -> u64 {
        self.below
    }

    /// Fails once a submission has failed, for ever.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.failed {
            None => Ok(()),
            Some(detail) => Err(dead(detail)),
        }
    }

    /// Counts a submission made now, with the log ending before `end`.
    pub(super) fn submit(&mut self, end: u64) -> Mark {
        self.submitted += 1;
        self.assert_valid();
        Mark { submission: self.submitted, epoch: self.epoch, end }
    }

    /// The engine answered; returns whom to wake.
    pub(super) fn complete(&mut self, mark: Mark, result: &Result<(), Error>) -> Vec<Waiter> {
        debug_assert!(mark.submission > self.completed, "an answer out of order: {mark:?}, {self:?}");
        match result {
            Ok(()) => {
                self.completed = mark.submission;
                if mark.epoch == self.epoch {
                    self.below = self.below.max(mark.end);
                }
            }
            Err(error) => self.failed = Some(error.to_string()),
        }
        let failed = self.failed.is_some();
        let waiters = std::mem::take(&mut self.waiters);
        let (ready, waiting): (Vec<_>, _) =
            waiters.into_iter().partition(|(target, _)| failed || self.is_reached(*target));
        self.waiters = waiting;
        self.assert_valid();
        ready.into_iter().map(|(_, waiter)| waiter).collect()
    }

    /// The log ends before `end` now; call it before the truncation is submitted.
    pub(super) fn truncate(&mut self, end: u64) {
        self.epoch += 1;
        self.below = self.below.min(end);
        // A waiter for an entry that is gone waits for the truncation instead.
        let truncation = self.submitted + 1;
        for (target, _) in &mut self.waiters {
            if matches!(target, Target::Below(index) if *index > end) {
                *target = Target::Submission(truncation);
            }
        }
        self.assert_valid();
    }

    /// `None` if entry `index` is durable already, else what wakes up when it is. For an index at or behind `end`:
    /// when everything submitted up to now is durable.
    pub(super) fn wait(&mut self, index: u64, end: u64) -> Result<Option<Answer>, Error> {
        self.check()?;
        let target = if index < end { Target::Below(index + 1) } else { Target::Submission(self.submitted) };
        if self.is_reached(target) {
            return Ok(None);
        }
        let (waiter, woken) = oneshot::channel();
        self.waiters.push((target, waiter));
        self.assert_valid();
        Ok(Some(woken))
    }

    fn is_reached(&self, target: Target) -> bool {
        match target {
            Target::Below(index) => index <= self.below,
            Target::Submission(submission) => submission <= self.completed,
        }
    }

    /// Asserts the inequalities that hold between any two changes.
    fn assert_valid(&self) {
        debug_assert!(self.completed <= self.submitted, "an answer that nothing was submitted for: {self:?}");
        debug_assert!(
            self.failed.is_none() || self.waiters.is_empty(),
            "somebody waits for a log that failed: {self:?}"
        );
        debug_assert!(
            self.waiters.iter().all(|(target, _)| !self.is_reached(*target)),
            "somebody was not woken: {self:?}"
        );
        // One more than was submitted: the truncation that is submitted next.
        debug_assert!(
            self.waiters.iter().all(|(target, _)| match target {
                Target::Submission(submission) => *submission <= self.submitted + 1,
                Target::Below(_) => true,
            }),
            "somebody waits for a submission that nobody made: {self:?}"
        );
    }
}

fn dead(detail: &str) -> Error {
    Error::io("the Raft log", std::io::Error::other(detail.to_owned()))
}

#[cfg(test)]
mod tests;
