//! `GroupStatus`: a replica as an operator sees it.

use openraft::metrics::RaftMetrics;
use openraft::{LogIdOptionExt, ServerState};

use crate::error::Error;
use crate::runtime::Runtime;
use crate::state::Applied;
use crate::{GroupId, RaftTypes, ReplicaId};

/// A replica's part in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupRole {
    /// It proposes.
    Leader,
    /// It votes, and follows a leader.
    Follower,
    /// It asks for votes.
    Candidate,
    /// It receives the log and has no vote.
    Learner,
    /// It does not serve; `GroupStatus::problem` says why.
    Broken,
}

impl GroupRole {
    /// The role in lower case, for metrics and operators.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Leader => "leader",
            Self::Follower => "follower",
            Self::Candidate => "candidate",
            Self::Learner => "learner",
            Self::Broken => "broken",
        }
    }
}

/// One replica at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStatus {
    /// Its group.
    pub group: GroupId,
    /// Its id.
    pub replica: ReplicaId,
    /// Its part in the group.
    pub role: GroupRole,
    /// Its term.
    pub term: u64,
    /// Replica and node that lead, if known.
    pub leader: Option<(ReplicaId, [u8; 16])>,
    /// Index of its last entry.
    pub last_log: u64,
    /// As far as this replica was told, whether it has those entries or not.
    pub committed: u64,
    /// Index of the last entry it applied.
    pub applied: u64,
    /// Index of the last entry it purged.
    pub purged: u64,
    /// Chained over every applied entry, at `hash_index`.
    pub state_hash: [u8; 32],
    /// Index of the entry that `state_hash` covers last.
    pub hash_index: u64,
    /// Leader only: entries the slowest voter is behind.
    pub lag: u64,
    /// Leader only: matched index of each voter.
    pub matched: Vec<(ReplicaId, u64)>,
    /// Why it does not serve, if it does not.
    pub problem: Option<String>,
}

/// The problem of a core that ended without telling why.
const PANICKED: &str = "openraft's core panicked; the log says where";

impl GroupStatus {
    /// `ended`: these are the last metrics there will be.
    pub(super) fn new<R: Runtime>(
        group: GroupId,
        metrics: &RaftMetrics<RaftTypes<R>>,
        applied: &Applied,
        ended: bool,
    ) -> Self {
        let membership = metrics.membership_config.membership();
        let last_log = metrics.last_log_index.unwrap_or(0);
        let matched: Vec<(ReplicaId, u64)> = metrics
            .replication
            .iter()
            .flatten()
            .map(|(replica, matched)| (*replica, matched.as_ref().index().unwrap_or(0)))
            .collect();
        let voters: Vec<ReplicaId> = membership.voter_ids().collect();
        let lag = matched
            .iter()
            .filter(|(replica, _)| voters.contains(replica))
            .map(|(_, matched)| last_log.saturating_sub(*matched))
            .max();
        let told = metrics.running_state.as_ref().err().map(ToString::to_string);
        let problem = told.or_else(|| ended.then(|| PANICKED.to_owned()));
        Self {
            group,
            replica: metrics.id,
            role: role(metrics.state, problem.is_some()),
            term: metrics.current_term,
            leader: metrics
                .current_leader
                .and_then(|leader| membership.get_node(&leader).map(|replica| (leader, replica.node_uuid))),
            last_log,
            committed: metrics.cluster_committed.index().unwrap_or(0),
            applied: metrics.last_applied.index().unwrap_or(0),
            purged: metrics.purged.index().unwrap_or(0),
            state_hash: applied.state_hash,
            hash_index: applied.log_id.index().unwrap_or(0),
            lag: lag.unwrap_or(0),
            matched,
            problem,
        }
    }
}

impl GroupStatus {
    /// The state machine's own words, where openraft knows only that it failed.
    pub(super) fn halted(self, error: &Error) -> Self {
        Self { role: GroupRole::Broken, problem: Some(error.to_string()), ..self }
    }
}

fn role(state: ServerState, broken: bool) -> GroupRole {
    match state {
        _ if broken => GroupRole::Broken,
        ServerState::Leader => GroupRole::Leader,
        ServerState::Follower => GroupRole::Follower,
        ServerState::Candidate => GroupRole::Candidate,
        ServerState::Learner => GroupRole::Learner,
        ServerState::Shutdown => GroupRole::Broken,
    }
}
