//! Breaks the simulated cluster, one fault after another, and mends it at the end.

use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;

use crate::cluster::{NODES, SimCluster, uuid};
use crate::trace::tell;

/// Faults of one run, counted so that a run that broke nothing can be refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub crashes: u32,
    pub partitions: u32,
    pub one_way: u32,
    pub clock_steps: u32,
}

impl Faults {
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.one_way += other.one_way;
        self.clock_steps += other.clock_steps;
    }
}

/// ±15 minutes: a virtual machine that resumes (docs/rules/time.md#no-clock-runs-away).
const CLOCK_STEP_US_MAX: u64 = 15 * 60 * 1_000_000;
/// Longer than an election, so that every fault bites.
const FAULT_MS: std::ops::Range<u64> = 200..2_500;
const CALM_MS: std::ops::Range<u64> = 50..1_500;
/// A follower without a leader waits a lease and an election timeout, 1.0 to 1.2 s, before it campaigns.
const CAMPAIGN_MS: std::ops::Range<u64> = 1_100..2_200;
/// Long enough for the last writes to reach every replica.
const QUIET_MS: std::ops::Range<u64> = 200..300;
/// Some restarts come back within the lease they may have granted.
const DOWN_MS: std::ops::Range<u64> = 5..1_500;

fn between(range: std::ops::Range<u64>) -> u64 {
    range.start + Simulation::random_u64() % (range.end - range.start)
}

async fn wait(range: std::ops::Range<u64>) {
    Simulation::sleep(Duration::from_millis(between(range))).await;
}

fn any_node() -> usize {
    (Simulation::random_u64() % NODES as u64) as usize
}

pub async fn run(cluster: &SimCluster, rounds: u32) -> Faults {
    let mut faults = Faults::default();
    for _ in 0..rounds {
        wait(CALM_MS).await;
        match Simulation::random_u64() % 9 {
            0..=2 => {
                faults.crashes += 1;
                crash_and_restart(cluster, any_node()).await;
            }
            3 => {
                faults.crashes += NODES as u32;
                crash_all(cluster).await;
            }
            4 => {
                faults.partitions += 1;
                isolate(cluster, any_node(), false).await;
            }
            5 => {
                faults.one_way += 1;
                isolate(cluster, any_node(), true).await;
            }
            6 => {
                faults.crashes += 1;
                faults.partitions += 1;
                crash_behind_partition(cluster).await;
            }
            7 => {
                let node = any_node();
                tell(|| format!("node {node} flushes"));
                cluster.flush(node).await;
            }
            _ => {
                faults.clock_steps += 1;
                step_clock(cluster);
            }
        }
        tell(|| "the network heals".to_owned());
        cluster.net().heal();
    }
    faults
}

async fn crash_and_restart(cluster: &SimCluster, node: usize) {
    crash(cluster, node).await;
    wait(DOWN_MS).await;
    restart(cluster, node).await;
}

async fn crash(cluster: &SimCluster, node: usize) {
    tell(|| format!("node {node} crashes; what it had not synced is lost"));
    cluster.crash(node).await;
}

async fn restart(cluster: &SimCluster, node: usize) {
    tell(|| format!("node {node} restarts"));
    cluster.restart(node).await;
}

/// Power is lost everywhere at once: only what was synced comes back.
async fn crash_all(cluster: &SimCluster) {
    for node in 0..NODES {
        crash(cluster, node).await;
    }
    wait(DOWN_MS).await;
    for node in 0..NODES {
        restart(cluster, node).await;
    }
}

async fn isolate(cluster: &SimCluster, node: usize, one_way: bool) {
    tell(|| format!("node {node} is cut off{}", if one_way { ", one way" } else { "" }));
    for other in (0..NODES).filter(|other| *other != node) {
        cluster.net().partition(uuid(node), uuid(other), one_way);
    }
    wait(FAULT_MS).await;
}

/// A follower restarts within the lease it granted while the other one is cut off from the leader and
/// campaigns: the two could elect a second leader while the first still serves reads from its lease.
/// Nobody writes before, so that the one cut off has missed nothing and may be elected.
async fn crash_behind_partition(cluster: &SimCluster) {
    let Some(leader) = (0..NODES).find(|node| cluster.leads(*node)) else { return };
    let (cut_off, restarted) = ((leader + 1) % NODES, (leader + 2) % NODES);
    tell(|| {
        format!("node {cut_off} is cut off from the leader {leader}, then {restarted} too as it restarts")
    });
    cluster.set_quiet(true);
    wait(QUIET_MS).await;
    cluster.net().partition(uuid(cut_off), uuid(leader), false);
    wait(CAMPAIGN_MS).await;
    crash(cluster, restarted).await;
    cluster.net().partition(uuid(restarted), uuid(leader), false);
    wait(1..10).await;
    restart(cluster, restarted).await;
    cluster.set_quiet(false);
    wait(FAULT_MS).await;
}

fn step_clock(cluster: &SimCluster) {
    let step = (Simulation::random_u64() % (2 * CLOCK_STEP_US_MAX)) as i64 - CLOCK_STEP_US_MAX as i64;
    let node = any_node();
    tell(|| format!("the wall clock of node {node} is {step} µs off"));
    cluster.set_clock_error(node, step);
}
