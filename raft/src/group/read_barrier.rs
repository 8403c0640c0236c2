//! Linearizable reads: from the leader's lease without a trip through openraft's core, else ReadIndex.
//!
//! A leader that heard from a quorum within half a lease knows that no other leader can exist yet: followers refuse
//! votes for a whole lease after they heard from it. Its own applied state then holds every acknowledged write,
//! provided an entry of its own term is applied (docs/rules/consensus.md#reads-are-linearizable).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{LinearizableReadError, RaftError};
use openraft::metrics::RaftMetrics;
use openraft::raft::linearizable_read::LinearizerOption;
use openraft::{Instant, Raft};

use super::leader::leader_node;
use crate::RaftTypes;
use crate::error::ReadError;
use crate::runtime::Runtime;
use crate::state::{GroupState, StateHandle};

/// No term: leases are never withheld for it.
const NO_TERM: u64 = 0;

/// Decides whether a read may be served here and now.
#[derive(Debug)]
pub struct ReadBarrier {
    /// Half a lease.
    max_quorum_ack_age: Duration,
    /// How long a read may wait for a quorum and for the state machine.
    wait: Duration,
    /// Leader term in which leadership was handed away: the lease no longer protects it, since the
    /// chosen voter may campaign at once.
    transferring: AtomicU64,
    /// Latest term of which an own entry is known to be applied.
    ready_term: AtomicU64,
}

impl ReadBarrier {
    /// `max_quorum_ack_age` is half a lease; `wait` bounds how long a read waits for a quorum and for the
    /// state machine.
    pub fn new(max_quorum_ack_age: Duration, wait: Duration) -> Self {
        Self {
            max_quorum_ack_age,
            wait,
            transferring: AtomicU64::new(NO_TERM),
            ready_term: AtomicU64::new(NO_TERM),
        }
    }

    /// From now on, reads of `term` ask a quorum.
    pub fn withhold_lease(&self, term: u64) {
        self.transferring.fetch_max(term, Ordering::SeqCst);
    }

    /// Returns when a read of the applied state, begun now, is linearizable. `ReadError::NotLeader` if
    /// another replica leads, or is about to because the disk of this node's log `hangs`; `ReadError::Unavailable` if no
    /// quorum answers in time or the state machine has halted.
    pub async fn pass<R: Runtime>(
        &self,
        raft: &Raft<RaftTypes<R>, GroupState<R>>,
        state: &StateHandle,
        hangs: bool,
    ) -> Result<(), ReadError> {
        if let Some(error) = state.halted() {
            return Err(ReadError::Unavailable(error.to_string()));
        }
        if self.lease_holds(raft, state) {
            return Ok(());
        }
        if hangs {
            // Asking a quorum would be a heartbeat, and openraft's core may wait for the disk.
            return Err(ReadError::NotLeader { leader_node: None });
        }
        let max_age = if self.is_transferring(raft) { Duration::ZERO } else { self.max_quorum_ack_age };
        let option = LinearizerOption::new(Some(max_age), true).with_wait_timeout(self.wait);
        let linearizer = raft.get_read_linearizer(option).await.map_err(read_error)?;
        let ready = linearizer
            .try_await_ready(raft, Some(self.wait))
            .await
            .map_err(|fatal| ReadError::Unavailable(fatal.to_string()))?;
        ready.map(|_| ()).map_err(|_| ReadError::Unavailable("the state machine lags behind".to_owned()))
    }

    fn is_transferring<R: Runtime>(&self, raft: &Raft<RaftTypes<R>, GroupState<R>>) -> bool {
        raft.metrics().borrow_watched().current_term <= self.transferring.load(Ordering::SeqCst)
    }

    fn lease_holds<R: Runtime>(&self, raft: &Raft<RaftTypes<R>, GroupState<R>>, state: &StateHandle) -> bool {
        let metrics = raft.metrics();
        let metrics = metrics.borrow_watched();
        let term = metrics.current_term;
        if !leads_as_voter(&metrics) || term <= self.transferring.load(Ordering::SeqCst) {
            return false;
        }
        let fresh = metrics.last_quorum_acked.is_some_and(|acked| {
            acked.into_inner() + self.max_quorum_ack_age > <R::Instant as Instant>::now()
        });
        if !fresh {
            return false;
        }
        if self.ready_term.load(Ordering::Acquire) == term {
            return true;
        }
        let applied = state.applied().log_id;
        let ready = applied.is_some_and(|id| id.leader_id.term == term && id.leader_id.node_id == metrics.id);
        if ready {
            self.ready_term.fetch_max(term, Ordering::AcqRel);
        }
        ready
    }
}

/// A leader that is no voter any more does not count: openraft makes it hand over by itself, and the
/// chosen voter may campaign while the lease still seems to hold.
fn leads_as_voter<R: Runtime>(metrics: &RaftMetrics<RaftTypes<R>>) -> bool {
    let voters = metrics.membership_config.membership().get_joint_config();
    metrics.state.is_leader()
        && metrics.vote.is_committed()
        && metrics.current_leader == Some(metrics.id)
        && metrics.current_term == metrics.vote.leader_id().term
        && voters.iter().any(|config| config.contains(&metrics.id))
}

fn read_error<R: Runtime>(error: RaftError<RaftTypes<R>, LinearizableReadError<RaftTypes<R>>>) -> ReadError {
    match error {
        RaftError::APIError(LinearizableReadError::ForwardToLeader(forward)) => {
            ReadError::NotLeader { leader_node: leader_node(&forward) }
        }
        other => ReadError::Unavailable(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::sync::Arc;

    use openraft::ServerState;

    use super::*;
    use crate::codec::{Membership, StoredMembership, Vote};
    use crate::sim::Simulation;
    use crate::{Replica, ReplicaId};

    const ME: ReplicaId = 1;

    /// Metrics of replica 1, leader in term 3.
    fn leader(configs: &[&[ReplicaId]]) -> RaftMetrics<RaftTypes<Simulation>> {
        let nodes: BTreeMap<ReplicaId, Replica> = (1..=3).map(|id| (id, Replica::default())).collect();
        let configs = configs.iter().map(|config| BTreeSet::from_iter(config.iter().copied())).collect();
        let membership = Membership::new(configs, nodes).expect("voters with nodes");
        let mut metrics = RaftMetrics::new_initial(ME);
        metrics.state = ServerState::Leader;
        metrics.vote = Vote::new_committed(3, ME);
        metrics.current_term = 3;
        metrics.current_leader = Some(ME);
        metrics.membership_config = Arc::new(StoredMembership::new(None, membership));
        metrics
    }

    #[test]
    fn a_leader_that_is_no_voter_has_no_lease() {
        assert!(leads_as_voter(&leader(&[&[1, 2, 3]])));
        assert!(leads_as_voter(&leader(&[&[1, 2], &[2, 3]])), "not yet removed");
        assert!(!leads_as_voter(&leader(&[&[2, 3]])), "removed, it is a learner at most");
    }

    #[test]
    fn only_the_leader_of_its_term_has_a_lease() {
        let mut follower = leader(&[&[1, 2, 3]]);
        follower.state = ServerState::Follower;
        let mut candidate = leader(&[&[1, 2, 3]]);
        candidate.vote = Vote::new(3, ME);
        let mut behind = leader(&[&[1, 2, 3]]);
        behind.current_term = 4;
        for metrics in [follower, candidate, behind] {
            assert!(!leads_as_voter(&metrics), "{metrics}");
        }
    }
}
