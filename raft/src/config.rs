//! Timing and bounds of every group (docs/rules/consensus.md#timing-and-leases).

use std::sync::Arc;
use std::time::Duration;

use openraft::{Config, SnapshotPolicy};
use rowhouse_proto::section;
use rowhouse_proto::settings::Kind;

use crate::error::Error;
use crate::lease::{LEASE_MARGIN, LeaseTerms};

/// Below this a pause of the scheduler looks like a dead leader.
const RAFT_MS_MIN: u64 = 10;
/// Above this nobody would call it a highly available service.
const RAFT_MS_MAX: u64 = 60_000;
/// One lost heartbeat must not start an election.
const HEARTBEATS_BEFORE_ELECTION: u64 = 2;
const RAFT_MS: Kind = Kind::milliseconds(RAFT_MS_MIN, RAFT_MS_MAX);

section! {
    /// The clocks of consensus, in milliseconds. Dev, CI and production have the same unless a network needs more.
    #[derive(Copy)]
    pub struct RaftTiming: "raft" {
        /// Also the deadline of vote and heartbeat RPCs.
        heartbeat_ms: u64 = 150, RAFT_MS,
            "Time between heartbeats of a leader. Keep [raft] the same on all nodes.";
        election_min_ms: u64 = 400, RAFT_MS, "Shortest wait for a leader before an election.";
        /// Nodes refuse peers whose lease is too far from theirs (`LeaseTerms::suits`).
        election_max_ms: u64 = 600, Kind::milliseconds(ELECTION_MAX_MS_MIN, RAFT_MS_MAX),
            "Longest wait for a leader before an election; also the leader's lease. Nodes refuse each other unless \
             half of the longer plus 200 is at most the shorter: change it in such steps, or with all nodes stopped.";
        propose_deadline_ms: u64 = 5_000, RAFT_MS,
            "How long a write may take before its outcome is reported as unknown.";
    }
}

/// The shortest lease of which half leaves `LEASE_MARGIN`.
pub const ELECTION_MAX_MS_MIN: u64 = 2 * LEASE_MARGIN.as_millis() as u64;

/// One request's worth of entries; together with the 1 MiB cap of the log reader.
const PAYLOAD_ENTRIES_MAX: u64 = 256;
/// Entries of one append to the log; bounded by bytes through admission.
const APPEND_ENTRIES_MAX: u64 = 4096;
/// A core that has this many calls waiting is past helping; admission refuses long before.
const API_CHANNEL_SIZE: u64 = 4096;
/// openraft's own default, and no less: when the log disk stalls, commands for the state machine queue up until
/// the core waits for it, while ticks go on at 20 to 33 a second. Once they fill this channel, the state machine
/// waits for room in it before it takes the next command, and neither ever goes on: 4,096 are full after three
/// minutes, this after half an hour. Slots are allocated as they are used.
const NOTIFICATION_CHANNEL_SIZE: u64 = 65_536;
/// openraft preallocates this many slots a replica; its default of 4 096 costs memory for nothing.
const API_BATCH_CAPACITY: u64 = 256;
/// openraft purges nothing by itself: how much is kept depends on more than a count (`host/keep.rs`).
const LOG_TO_KEEP: u64 = u64::MAX;
/// Beyond this distance a follower is sent a snapshot.
const REPLICATION_LAG_MAX: u64 = 5_000;

impl RaftTiming {
    /// Offences against rules over several keys, each a sentence.
    pub fn complaints(&self) -> Vec<String> {
        let Self { heartbeat_ms, election_min_ms, election_max_ms, .. } = *self;
        let mut complaints = Vec::new();
        if heartbeat_ms * HEARTBEATS_BEFORE_ELECTION > election_min_ms {
            complaints.push(format!(
                "`raft.election_min_ms` is {election_min_ms}; it must be at least {HEARTBEATS_BEFORE_ELECTION} \
                 times `raft.heartbeat_ms`, which is {heartbeat_ms}."
            ));
        }
        if election_min_ms >= election_max_ms {
            complaints.push(format!(
                "`raft.election_max_ms` is {election_max_ms}; it must be more than `raft.election_min_ms`, which \
                 is {election_min_ms}."
            ));
        }
        complaints
    }

    /// Followers refuse votes this long after they heard from a leader.
    pub fn lease(&self) -> Duration {
        Duration::from_millis(self.election_max_ms)
    }

    /// A read is served locally if a quorum acknowledged no longer ago than this: half the lease
    /// leaves room for late stamps and for clocks that run at different rates (`LEASE_MARGIN`).
    pub fn read_lease(&self) -> Duration {
        Duration::from_millis(self.election_max_ms.div_ceil(2))
    }

    /// The terms that this node tells its peers.
    pub fn lease_terms(&self) -> LeaseTerms {
        LeaseTerms { granted: self.lease(), read: self.read_lease() }
    }

    /// Pause between two heartbeats of a leader.
    pub fn heartbeat(&self) -> Duration {
        Duration::from_millis(self.heartbeat_ms)
    }

    /// Longest wait of a proposal until it is applied; beyond it the outcome is unknown.
    pub fn propose_deadline(&self) -> Duration {
        Duration::from_millis(self.propose_deadline_ms)
    }

    pub(crate) fn openraft(&self) -> Result<Arc<Config>, Error> {
        let invalid = |detail: String| Error::Raft { group: 0, detail: format!("invalid timing: {detail}") };
        let terms = self.lease_terms();
        if !terms.may_lead(terms) {
            return Err(invalid(format!(
                "election_max_ms is {}; below {ELECTION_MAX_MS_MIN} a leader could read after its lease",
                self.election_max_ms
            )));
        }
        let config = Config {
            cluster_name: "rowhouse".to_owned(),
            heartbeat_interval: self.heartbeat_ms,
            heartbeat_min_interval: Some(self.heartbeat_ms),
            election_timeout_min: self.election_min_ms,
            election_timeout_max: self.election_max_ms,
            enable_pre_vote: Some(true),
            quorum_loss_probe_interval: Some(2 * self.election_max_ms),
            max_payload_entries: PAYLOAD_ENTRIES_MAX,
            max_append_entries: Some(APPEND_ENTRIES_MAX),
            api_batch_capacity: API_BATCH_CAPACITY,
            api_channel_size: Some(API_CHANNEL_SIZE),
            notification_channel_size: Some(NOTIFICATION_CHANNEL_SIZE),
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: LOG_TO_KEEP,
            replication_lag_threshold: REPLICATION_LAG_MAX,
            enable_leader_restore: Some(false),
            removed_leader_step_down: openraft::StepDownPolicy::After(self.heartbeat_ms),
            ..Config::default()
        };
        let config = config.validate().map_err(|error| invalid(error.to_string()))?;
        Ok(Arc::new(config))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_too_short_for_late_stamps_is_refused() {
        assert!(RaftTiming::default().openraft().is_ok());
        let timing = |election_max_ms| RaftTiming {
            heartbeat_ms: 20,
            election_min_ms: 45,
            election_max_ms,
            ..RaftTiming::default()
        };
        assert!(timing(ELECTION_MAX_MS_MIN).openraft().is_ok());
        for too_short in [150, ELECTION_MAX_MS_MIN - 1] {
            let error = timing(too_short).openraft().expect_err("half of it leaves no margin").to_string();
            assert!(error.contains("election_max_ms") && error.contains("400"), "{error}");
        }
    }
}
