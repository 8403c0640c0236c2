//! Who could take a group's leadership over at once.

use std::time::Duration;

use openraft::Instant;
use openraft::LogIdOptionExt;
use openraft::async_runtime::watch::WatchReceiver;

use super::handle::Group;
use crate::ReplicaId;
use crate::machine::is_quorum;
use crate::runtime::Runtime;

/// A voter this many entries behind catches up within the transfer itself: openraft's target waits for
/// the leader's last entry before it campaigns, and the leader appends no more.
const LAG_ENTRIES_MAX: u64 = 64;

/// Silence of a majority that is no stall of a busy machine.
const HEARD_WITHIN: Duration = Duration::from_secs(2);

/// A voter that could lead now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heir {
    /// Its id.
    pub replica: ReplicaId,
    /// The node it runs on.
    pub node: [u8; 16],
    /// Entries it lacks.
    pub lag: u64,
}

impl<R: Runtime> Group<R> {
    /// The most advanced first; empty unless this replica leads. Only voters that answered within half a
    /// lease: a transfer to one that does not answer would stop the group until an election.
    pub fn heirs(&self) -> Vec<Heir> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let (Some(replication), Some(heartbeat)) = (&metrics.replication, &metrics.heartbeat) else {
            return Vec::new();
        };
        let membership = metrics.membership_config.membership();
        let now = <R::Instant as Instant>::now();
        let answered = |replica: &ReplicaId| {
            let acked = heartbeat.get(replica).copied().flatten();
            acked.is_some_and(|acked| acked.into_inner() + self.timing().read_lease() > now)
        };
        let next_log = metrics.last_log_index.map_or(0, |index| index + 1);
        let mut heirs: Vec<Heir> = membership
            .voter_ids()
            .filter(|replica| *replica != metrics.id && answered(replica))
            .filter_map(|replica| {
                let node = membership.get_node(&replica)?.node_uuid;
                let lag = next_log.saturating_sub(replication.get(&replica)?.next_index());
                Some(Heir { replica, node, lag })
            })
            .filter(|heir| heir.lag <= LAG_ENTRIES_MAX)
            .collect();
        heirs.sort_by_key(|heir| (heir.lag, heir.replica));
        heirs
    }

    /// The nodes of the group's other voters.
    pub fn other_voters(&self) -> Vec<[u8; 16]> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let membership = metrics.membership_config.membership();
        let others = membership.voter_ids().filter(|replica| *replica != metrics.id);
        others.filter_map(|replica| membership.get_node(&replica)).map(|replica| replica.node_uuid).collect()
    }

    /// Whether these replicas are a majority of the voters, of both sets while the group is between two.
    pub fn is_quorum(&self, replicas: &[ReplicaId]) -> bool {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        is_quorum(metrics.membership_config.membership().get_joint_config(), replicas)
    }

    /// Whether this replica leads and a majority of the voters, itself among them, answered it lately. A leader that is
    /// cut off believes that it leads until it hears of another one. For operators: nothing may be decided by it.
    pub fn leads_a_majority(&self) -> bool {
        let answered = self.heard_within(HEARD_WITHIN).into_iter().filter(|follower| follower.answered);
        let mut heard: Vec<ReplicaId> = answered.map(|follower| follower.replica).collect();
        heard.push(self.replica());
        self.is_leader() && self.is_quorum(&heard)
    }
}
