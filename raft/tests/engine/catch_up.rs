//! Replicas far behind catch up under steady writes: by log while they can, else by one snapshot and the log after it.

use crate::transport_cluster;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use rowhouse_raft::sim::{KvCommand, SimNet, SimWeather, Simulation};
use rowhouse_raft::{LogKeep, Replica};
use transport_cluster::*;

type S = Simulation;

/// Far less log than is written while a snapshot is on its way.
const KEEP: LogKeep = LogKeep {
    entries_min: 20,
    span: Duration::ZERO,
    replica_bytes_max: 1 << 20,
    node_bytes_max: 1 << 20,
    step_entries: 5,
};
const WRITE_EVERY: Duration = Duration::from_millis(20);
const FLUSH_EVERY: Duration = Duration::from_millis(200);

fn slow_snapshots() -> SimWeather {
    let chunk_delay = (Duration::from_millis(500), Duration::from_millis(1500));
    SimWeather { chunk_delay, ..SimWeather::default() }
}

fn disks(keep: LogKeep) -> Disks<S> {
    Disks { keep, ..Disks::new() }
}

async fn cluster(net: &SimNet<S>, keep: LogKeep) -> Vec<Member<S>> {
    let mut members = Vec::new();
    for number in 1..=3 {
        members.push(Member::start(number, net.wire(node(number)), disks(keep)).await);
    }
    initialize(&members).await;
    members
}

async fn stop(members: Vec<Member<S>>) {
    for member in members {
        member.host.shutdown().await.expect("a clean end");
    }
}

/// Writes and flushes until it is dropped.
struct Load(Arc<AtomicBool>);

impl Drop for Load {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn load(members: &[Member<S>]) -> Load {
    let stop = Arc::<AtomicBool>::default();
    let (groups, over) =
        (members.iter().map(|member| member.group.clone()).collect::<Vec<_>>(), stop.clone());
    drop(S::spawn(async move {
        for n in 0u128.. {
            if over.load(Ordering::Relaxed) {
                return;
            }
            let command = KvCommand::put(n.to_be_bytes(), format!("load{}", n % 10), "x").encode();
            for group in groups.iter().filter(|group| group.is_leader()) {
                // Its outcome does not matter.
                drop(group.propose(command.clone(), Bytes::new()).await);
            }
            S::sleep(WRITE_EVERY).await;
        }
    }));
    let (hosts, over) = (members.iter().map(|member| member.host.clone()).collect::<Vec<_>>(), stop.clone());
    drop(S::spawn(async move {
        while !over.load(Ordering::Relaxed) {
            for host in &hosts {
                host.flush().await.expect("flushed");
            }
            S::sleep(FLUSH_EVERY).await;
        }
    }));
    Load(stop)
}

#[test]
fn a_newcomer_catches_up_although_more_is_written_than_the_log_keeps() {
    for seed in 0..4 {
        S::with_seed(seed).block_on(async {
            let net = SimNet::new(slow_snapshots());
            let mut members = cluster(&net, KEEP).await;
            put(&members, "before", "1").await;
            let load = load(&members);
            let leading = leader(&members).await.group.clone();
            until::<S>("the log has shrunk", || leading.status().purged > 50).await;
            let newcomer = Member::start(4, net.wire(node(4)), disks(KEEP)).await;
            let learner = Replica { node_uuid: node(4) };
            leading.raft().add_learner(replica(4), learner, false).await.expect("a learner");
            let group = newcomer.group.clone();
            until::<S>("it has caught up", || {
                let lag = leading.status().last_log.saturating_sub(group.status().applied);
                group.status().applied > 0 && lag < 5
            })
            .await;
            let arrived = group.status().purged;
            assert!(arrived > 50, "seed {seed}: it came by log");
            assert!(newcomer.host.snapshots().installed.load(Ordering::Relaxed) > 0, "seed {seed}");
            let sent = |member: &Member<S>| member.host.snapshots().sent.load(Ordering::Relaxed);
            assert!(members.iter().map(sent).sum::<u64>() > 0, "seed {seed}: nobody counts it");
            until::<S>("the log shrinks again", || leading.status().purged > arrived + 100).await;
            drop(load);
            put(&members, "after", "2").await;
            members.push(newcomer);
            replicated(&members, "after", "2").await;
            stop(members).await;
        });
    }
}

#[test]
fn a_follower_that_returns_in_time_needs_no_snapshot() {
    S::with_seed(1).block_on(async {
        let net = SimNet::new(SimWeather::default());
        let members = cluster(&net, LogKeep { span: Duration::from_secs(60), ..KEEP }).await;
        put(&members, "before", "1").await;
        let load = load(&members);
        let leading = leader(&members).await.group.clone();
        let away = members.iter().find(|member| !member.group.is_leader()).expect("a follower");
        let held = away.group.status().last_log;
        for other in members.iter().filter(|other| other.number != away.number) {
            net.partition(node(away.number), node(other.number), false);
        }
        S::sleep(Duration::from_secs(45)).await;
        net.heal();
        put(&members, "after", "2").await;
        replicated(&members, "after", "2").await;
        assert!(away.group.status().purged <= held, "it was sent a snapshot");
        S::sleep(Duration::from_secs(90)).await;
        until::<S>("what is old is purged", || leading.status().purged > held).await;
        drop(load);
        stop(members).await;
    });
}

#[test]
fn a_snapshot_slower_than_the_bounds_allow_does_not_hold_the_log() {
    S::with_seed(1).block_on(async {
        let chunk_delay = (Duration::from_secs(8), Duration::from_secs(8));
        let net = SimNet::new(SimWeather { chunk_delay, ..SimWeather::default() });
        // Sixty bytes an entry and more: a few seconds of writes.
        let keep = LogKeep { replica_bytes_max: 10_000, ..KEEP };
        let mut members = cluster(&net, keep).await;
        put(&members, "before", "1").await;
        let load = load(&members);
        let leading = leader(&members).await.group.clone();
        until::<S>("the log has shrunk", || leading.status().purged > 50).await;
        members.push(Member::start(4, net.wire(node(4)), disks(keep)).await);
        let learner = Replica { node_uuid: node(4) };
        leading.raft().add_learner(replica(4), learner, false).await.expect("a learner");
        until::<S>("its snapshot is on its way", || net.snapshots().0 > 0).await;
        let begun = leading.status().last_log;
        until::<S>("its position is purged", || leading.status().purged > begun + 100).await;
        assert_eq!(members[3].group.status().applied, 0, "it is still on its way");
        let status = leading.status();
        assert!(status.last_log - status.purged < 500, "{} of {}", status.purged, status.last_log);
        drop(load);
        stop(members).await;
    });
}
