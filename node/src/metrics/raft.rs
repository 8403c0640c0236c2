//! Raft on this node: all its replicas together, and the one log beneath them.

use std::sync::atomic::{AtomicU64, Ordering};

use rowhouse_raft::GroupRole;

use super::sources::Watched;

const ROLES: [GroupRole; 5] =
    [GroupRole::Leader, GroupRole::Follower, GroupRole::Candidate, GroupRole::Learner, GroupRole::Broken];

pub fn observe(watched: &Watched) {
    replicas(watched);
    log(watched);
    snapshots(watched);
}

fn replicas(watched: &Watched) {
    watched.gauge_by("rowhouse.raft.replicas", "Replicas on this node, by role.", "role", |sources| {
        let seen = sources.seen();
        ROLES.map(|role| (role.as_str(), seen.count(role) as f64)).into()
    });
    watched.gauge(
        "rowhouse.raft.leaderless_replicas",
        "",
        "Replicas on this node that hear no leader, lead and hear no majority, or do not run.",
        |sources| Some(sources.seen().leaderless() as f64),
    );
    watched.counter(
        "rowhouse.raft.elections",
        "",
        "Terms that began in groups with a replica here, since this process looks. Each is an election or a transfer.",
        |sources| sources.seen().elections,
    );
    watched.counter(
        "rowhouse.raft.leaderships_handed_over",
        "",
        "Leaderships that this node gave away while it drained.",
        |sources| sources.local.drain.counts().0,
    );
    watched.counter(
        "rowhouse.raft.handovers_failed",
        "",
        "Leaderships that were to be given away and that an election had to settle.",
        |sources| sources.local.drain.counts().1,
    );
    watched.gauge(
        "rowhouse.raft.apply_lag_entries",
        "",
        "Entries that the replica here that is furthest behind knows to be committed and has not applied.",
        |sources| {
            let seen = sources.seen();
            Some(seen.max(|status| status.committed.saturating_sub(status.applied)) as f64)
        },
    );
    watched.gauge(
        "rowhouse.raft.replication_lag_entries",
        "",
        "Entries that the slowest voter of the groups led from here is behind.",
        |sources| Some(sources.seen().max(|status| status.lag) as f64),
    );
    watched.gauge(
        "rowhouse.raft.proposals_pending",
        "",
        "Proposals to groups led from here that are neither applied nor given up.",
        |sources| Some(sources.seen().pending as f64),
    );
}

fn log(watched: &Watched) {
    watched.counter(
        "rowhouse.raft.log.syncs",
        "",
        "Syncs of this node's log. One serves all groups.",
        |sources| read(&sources.local.engine.metrics().syncs),
    );
    watched.counter("rowhouse.raft.log.writes", "", "Writes of this node's log, synced or not.", |sources| {
        read(&sources.local.engine.metrics().writes)
    });
    watched.counter(
        "rowhouse.raft.log.submissions",
        "",
        "Appends, votes and other steps of replicas that these writes held.",
        |sources| read(&sources.local.engine.metrics().submissions),
    );
    watched.counter("rowhouse.raft.log.written", "By", "Bytes written to this node's log.", |sources| {
        read(&sources.local.engine.metrics().bytes)
    });
    watched.gauge("rowhouse.raft.log.queued", "By", "Bytes that wait for the log's writer.", |sources| {
        Some(read(&sources.local.engine.metrics().queued_bytes) as f64)
    });
}

fn snapshots(watched: &Watched) {
    watched.counter(
        "rowhouse.raft.snapshots_sent",
        "",
        "Snapshots that another node took from this one and installed.",
        |sources| read(&sources.local.host.snapshots().sent),
    );
    watched.counter(
        "rowhouse.raft.snapshots_send_failed",
        "",
        "Snapshots to other nodes that were not installed there.",
        |sources| read(&sources.local.host.snapshots().send_failed),
    );
    watched.counter(
        "rowhouse.raft.snapshots_installed",
        "",
        "Snapshots installed on this node.",
        |sources| read(&sources.local.host.snapshots().installed),
    );
    watched.counter(
        "rowhouse.raft.snapshots_install_failed",
        "",
        "Snapshots to this node that broke off or were refused. One that goes on later counts for each break.",
        |sources| read(&sources.local.host.snapshots().install_failed),
    );
}

fn read(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}
