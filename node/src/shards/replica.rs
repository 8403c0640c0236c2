//! The life of one replica as the supervisor sees it. The replica itself is openraft's task.

use std::time::{Duration, Instant};

use rowhouse_raft::Error as RaftError;

use crate::actor::{Backoff, Restart};

/// A replica that fails to open may be waiting for a disk to recover; a minute of quiet forgives.
const RESTART: Restart = Restart::Exponential {
    base: Duration::from_secs(1),
    max: Duration::from_secs(30),
    reset_after: Duration::from_secs(60),
};

/// Where a replica is in its life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaState {
    Serving {
        since: Instant,
    },
    /// Failed; tried again at `until`.
    Waiting {
        until: Instant,
        problem: String,
    },
    /// Damaged, outrun by a newer program, or a tombstone: starting it again under this program cannot help.
    Broken {
        problem: String,
    },
}

/// A replica's state, and the memory of its failures.
#[derive(Debug)]
pub struct ReplicaLife {
    pub state: ReplicaState,
    backoff: Backoff,
}

impl ReplicaLife {
    /// One that runs and has never failed.
    pub fn serving(now: Instant) -> Self {
        Self { state: ReplicaState::Serving { since: now }, backoff: Backoff::new(RESTART) }
    }

    /// Back in service; the memory of earlier failures stays until it has served for a while.
    pub fn serve(&mut self, now: Instant) {
        self.state = ReplicaState::Serving { since: now };
    }

    /// Whether a start may be tried now.
    pub fn may_start(&self, now: Instant) -> bool {
        match &self.state {
            ReplicaState::Serving { .. } => true,
            ReplicaState::Waiting { until, .. } => now >= *until,
            ReplicaState::Broken { .. } => false,
        }
    }

    /// It could not start, or ended.
    pub fn fail(&mut self, problem: String, hopeless: bool, now: Instant, random: u64) {
        let served = match self.state {
            ReplicaState::Serving { since } => now.saturating_duration_since(since),
            _ => Duration::ZERO,
        };
        self.state = match self.backoff.next(served, random) {
            Some(delay) if !hopeless => ReplicaState::Waiting { until: now + delay, problem },
            _ => ReplicaState::Broken { problem },
        };
    }

    /// Why it does not serve, if it does not.
    pub fn problem(&self) -> Option<&str> {
        match &self.state {
            ReplicaState::Serving { .. } => None,
            ReplicaState::Waiting { problem, .. } | ReplicaState::Broken { problem } => Some(problem),
        }
    }
}

/// Whether another attempt could end differently.
pub fn is_hopeless(error: &RaftError) -> bool {
    match error {
        RaftError::Halted(halted) => is_hopeless(halted),
        RaftError::Corrupt { .. }
        | RaftError::Version { .. }
        | RaftError::UnknownFields { .. }
        | RaftError::Unapplicable { .. }
        | RaftError::Diverged { .. }
        | RaftError::Tombstone(_) => true,
        RaftError::Io { .. } | RaftError::NoSuchGroup(_) | RaftError::Raft { .. } | RaftError::Stopped => {
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_replica_waits_longer_each_time_and_a_damaged_one_for_ever() {
        let start = Instant::now();
        let mut life = ReplicaLife::serving(start);
        let mut last = Duration::ZERO;
        for _ in 0..4 {
            life.fail("disk".into(), false, start, 0);
            let ReplicaState::Waiting { until, .. } = life.state else { panic!("waits") };
            assert!(until - start > last);
            last = until - start;
            assert!(!life.may_start(start) && life.may_start(until));
        }
        life.fail("damaged".into(), true, start, 0);
        assert!(!life.may_start(start + Duration::from_secs(3600)));
        assert_eq!(life.problem(), Some("damaged"));
    }

    #[test]
    fn quiet_service_forgives_old_failures() {
        let start = Instant::now();
        let mut life = ReplicaLife::serving(start);
        for _ in 0..10 {
            life.fail("disk".into(), false, start, 0);
        }
        life.serve(start);
        let later = start + Duration::from_secs(61);
        life.fail("disk".into(), false, later, 0);
        assert!(life.may_start(later + Duration::from_secs(1)));
    }
}
