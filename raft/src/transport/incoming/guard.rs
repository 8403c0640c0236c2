//! A restarted voter honours the lease it may have granted
//! (docs/rules/consensus.md#a-restarted-voter-honours-its-lease).
//!
//! openraft starts with a zero lease: a replica that promised a leader not to vote would, after a
//! restart, elect another while the first still serves reads by its lease.

use std::time::Duration;

use openraft::Instant;
use openraft::raft::VoteRequest;

use crate::codec::Vote;
use crate::log_store::LogStore;
use crate::runtime::Runtime;
use crate::{RaftTypes, planted};

/// Refuses votes until every lease granted before the restart is over.
pub struct VoteGuard<R: Runtime> {
    until: Option<R::Instant>,
}

impl<R: Runtime> VoteGuard<R> {
    /// The guard of a replica started now with this stored vote. One that was never committed was
    /// given to a candidate; no leader has a lease from it.
    pub fn new(stored: Option<Vote>, lease: Duration) -> Self {
        let granted = stored.is_some_and(|vote| vote.committed);
        Self { until: granted.then(|| R::Instant::now() + lease) }
    }

    /// `new` with what the log holds.
    pub fn after_restart(log: &LogStore<R>, lease: Duration) -> Self {
        Self::new(log.stored_vote(), lease)
    }

    /// How much longer the replica neither votes nor stands.
    pub fn remaining(&self) -> Option<Duration> {
        let until = self.until?;
        let now = R::Instant::now();
        (now < until && !planted::vote_at_once()).then(|| until - now)
    }

    /// A leader that hands over waives its own lease, so its successor is not refused.
    pub(in crate::transport) fn refuses(&self, request: &VoteRequest<RaftTypes<R>>) -> bool {
        !request.leadership_transfer && self.remaining().is_some()
    }
}

#[cfg(test)]
mod tests {
    use openraft::AsyncRuntime;

    use super::*;
    use crate::sim::Simulation;

    const LEASE: Duration = Duration::from_millis(600);

    fn request(transfer: bool) -> VoteRequest<RaftTypes<Simulation>> {
        VoteRequest { vote: Vote::new(7, 2), last_log_id: None, leadership_transfer: transfer }
    }

    #[test]
    fn a_lease_is_honoured_for_its_whole_length_and_no_longer() {
        Simulation::with_seed(1).block_on(async {
            let guard = VoteGuard::<Simulation>::new(Some(Vote::new_committed(6, 1)), LEASE);
            assert_eq!(guard.remaining(), Some(LEASE));
            assert!(guard.refuses(&request(false)));
            Simulation::sleep(LEASE - Duration::from_millis(1)).await;
            assert!(guard.refuses(&request(false)));
            Simulation::sleep(Duration::from_millis(1)).await;
            assert_eq!(guard.remaining(), None);
            assert!(!guard.refuses(&request(false)));
        });
    }

    #[test]
    fn a_leader_that_hands_over_waives_its_lease() {
        Simulation::with_seed(1).block_on(async {
            let guard = VoteGuard::<Simulation>::new(Some(Vote::new_committed(6, 1)), LEASE);
            assert!(!guard.refuses(&request(true)));
        });
    }

    #[test]
    fn without_a_committed_vote_there_is_no_lease() {
        Simulation::with_seed(1).block_on(async {
            for stored in [None, Some(Vote::new(6, 1))] {
                let guard = VoteGuard::<Simulation>::new(stored, LEASE);
                assert_eq!(guard.remaining(), None);
                assert!(!guard.refuses(&request(false)));
            }
        });
    }
}
