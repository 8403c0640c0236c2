//! A group's members, and the one way to change them.
//!
//! A change names the members it begins from, so that it cannot undo one it does not know of. openraft makes it in two
//! entries; a leader that ends between them leaves a joint set behind, which the next call settles
//! (docs/rules/consensus.md#joint-members-are-settled).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::errors::{ClientWriteError, RaftError};
use openraft::raft::Precondition;
use openraft::{Instant, LogIdOptionExt};

use super::handle::Group;
use super::leader::leader_node;
use crate::codec::LogId;
use crate::error::ProposeError;
use crate::runtime::Runtime;
use crate::{Replica, ReplicaId};

/// The members that a replica has in effect, committed or not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members {
    /// The entry that made them so; `None` before the first.
    pub id: Option<LogId>,
    /// One set of voters; two while the group is between them, and then both decide.
    pub voters: Vec<BTreeSet<ReplicaId>>,
    /// They receive the log and have no vote.
    pub learners: BTreeSet<ReplicaId>,
}

impl Members {
    /// Whether two sets of voters decide together.
    pub fn is_joint(&self) -> bool {
        self.voters.len() > 1
    }

    /// The voters of all sets.
    pub fn all_voters(&self) -> BTreeSet<ReplicaId> {
        self.voters.iter().flatten().copied().collect()
    }
}

/// Another replica as the leader sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Follower {
    /// Its id.
    pub replica: ReplicaId,
    /// Index of the last entry known to be there.
    pub matched: u64,
    /// Whether it answered within half a lease.
    pub answered: bool,
}

impl<R: Runtime> Group<R> {
    /// The members in effect here.
    pub fn members(&self) -> Members {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let stored = &metrics.membership_config;
        Members {
            id: *stored.log_id(),
            voters: stored.membership().get_joint_config().clone(),
            learners: stored.membership().learner_ids().collect(),
        }
    }

    /// The node of a member.
    pub fn node_of(&self, replica: ReplicaId) -> Option<[u8; 16]> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        metrics.membership_config.membership().get_node(&replica).map(|replica| replica.node_uuid)
    }

    /// The other replicas; empty unless this one leads.
    pub fn followers(&self) -> Vec<Follower> {
        self.heard_within(self.timing().read_lease())
    }

    /// As `followers`, where an answer counts for `span` instead of half a lease.
    pub(super) fn heard_within(&self, span: Duration) -> Vec<Follower> {
        let metrics = self.raft().metrics();
        let metrics = metrics.borrow_watched();
        let (Some(replication), Some(heartbeat)) = (&metrics.replication, &metrics.heartbeat) else {
            return Vec::new();
        };
        let now = <R::Instant as Instant>::now();
        let follower = |(replica, matched): (&ReplicaId, &Option<LogId>)| {
            let acked = heartbeat.get(replica).copied().flatten();
            let answered = acked.is_some_and(|acked| acked.into_inner() + span > now);
            Follower { replica: *replica, matched: matched.index().unwrap_or(0), answered }
        };
        replication.iter().filter(|(replica, _)| **replica != metrics.id).map(follower).collect()
    }

    /// Makes these the group's voters and learners, unless other members than `expect` are in effect. While they are
    /// joint, it only settles them. Returns when that is committed and applied here; repeating it is harmless.
    pub async fn change_members(
        &self,
        expect: LogId,
        voters: BTreeMap<ReplicaId, Replica>,
        learners: BTreeMap<ReplicaId, Replica>,
    ) -> Result<(), ProposeError> {
        let members = self.members();
        let changes = if members.is_joint() {
            // The last set is the wanted one already; this makes it the only one.
            ChangeMembers::AddVoterIds(BTreeSet::new())
        } else {
            let wanted: BTreeSet<ReplicaId> = voters.keys().chain(learners.keys()).copied().collect();
            let dropped = members.learners.difference(&wanted).copied().collect();
            ChangeMembers::Batch(vec![
                ChangeMembers::AddNodes(voters.iter().chain(&learners).map(|(id, at)| (*id, *at)).collect()),
                ChangeMembers::ReplaceAllVoters(voters.into_keys().collect()),
                ChangeMembers::RemoveNodes(dropped),
            ])
        };
        let unchanged = Precondition::LastMembershipLogId { last_membership_log_id: Some(expect) };
        let change = self.raft().change_membership_if(changes, false, [unchanged]);
        match R::timeout(self.timing().propose_deadline(), change).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(forward)))) => {
                Err(ProposeError::NotLeader { leader_node: leader_node(&forward) })
            }
            Ok(Err(error)) => Err(ProposeError::Unknown(error.to_string())),
            Err(_) => Err(ProposeError::Unknown("the members are not changed in time".to_owned())),
        }
    }
}
