//! Breaks the simulated cluster while replicas move, and mends it at the end of each act.

use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::meta;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;

use super::boot;
use super::calls::between;
use super::coordinator::DEAD_AFTER_MS;
use super::world::{Life, World};
use crate::trace::tell;

/// Faults of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Faults {
    pub crashes: u32,
    pub partitions: u32,
    pub clock_steps: u32,
    /// Nodes that came back after they had been replaced.
    pub returns: u32,
    /// Leaderships of the meta group handed over: a coordinator is deposed, and its calls are still under way.
    pub hand_overs: u32,
}

impl Faults {
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.partitions += other.partitions;
        self.clock_steps += other.clock_steps;
        self.returns += other.returns;
        self.hand_overs += other.hand_overs;
    }
}

/// ±15 minutes: a virtual machine that resumes.
const CLOCK_STEP_US_MAX: u64 = 15 * 60 * 1_000_000;
const CALM_MS: std::ops::Range<u64> = 50..1_500;
/// Longer than an election, so that every fault bites.
const FAULT_MS: std::ops::Range<u64> = 200..2_500;
/// Longer than a new coordinator listens before it plans.
const HANDED_MS: std::ops::Range<u64> = 1_000..5_000;
const DOWN_MS: std::ops::Range<u64> = 5..1_500;
/// Until a silent node is marked as away, and some rounds to replace it.
const AWAY_MS: u64 = 14_000;

async fn wait(range: std::ops::Range<u64>) {
    Simulation::sleep(Duration::from_millis(between(range))).await;
}

fn any_of(nodes: &[usize]) -> usize {
    nodes[Simulation::random_u64() as usize % nodes.len()]
}

fn crash(world: &World, node: usize) {
    tell(|| format!("node {node} crashes; what it had not synced is lost"));
    world.crash(node);
}

/// Cuts a node off from all others, one way or both.
fn isolate(world: &World, node: usize, one_way: bool) {
    tell(|| format!("node {node} is cut off{}", if one_way { ", one way" } else { "" }));
    for other in world.living().into_iter().filter(|other| *other != node) {
        world.net().partition(world.uuid(node), world.uuid(other), one_way);
    }
}

/// Some faults, one after another.
pub async fn run(world: &World, rounds: u32) -> Faults {
    let mut faults = Faults::default();
    for _ in 0..rounds {
        wait(CALM_MS).await;
        let living = world.living();
        let node = any_of(&living);
        match Simulation::random_u64() % 21 {
            0..=6 => {
                faults.crashes += 1;
                crash(world, node);
                wait(DOWN_MS).await;
            }
            7..=9 => {
                // The node that decides: another one must go on where it was.
                let leads = |node: &&usize| world.life(**node).is_some_and(|life| coordinates(&life));
                let leader = living.iter().find(leads).copied().unwrap_or(node);
                faults.crashes += 1;
                crash(world, leader);
                wait(DOWN_MS).await;
            }
            10 | 11 => {
                faults.crashes += living.len() as u32;
                living.iter().for_each(|node| crash(world, *node));
                wait(DOWN_MS).await;
            }
            12..=15 => {
                faults.partitions += 1;
                isolate(world, node, Simulation::random_u64().is_multiple_of(2));
                wait(FAULT_MS).await;
            }
            16 => {
                faults.returns += 1;
                crash(world, node);
                wait(AWAY_MS..AWAY_MS + DEAD_AFTER_MS).await;
            }
            17 | 18 => {
                faults.hand_overs += hand_over(world).await;
                wait(HANDED_MS).await;
            }
            _ => {
                faults.clock_steps += 1;
                let step = between(0..2 * CLOCK_STEP_US_MAX) as i64 - CLOCK_STEP_US_MAX as i64;
                tell(|| format!("the wall clock of node {node} is {step} µs off"));
                world.set_clock_error(node, step);
            }
        }
        mend(world);
    }
    faults
}

/// The meta group's leader hands over to any voter that could lead. Returns how many did.
async fn hand_over(world: &World) -> u32 {
    let leader = world.lives().into_iter().find(|life| coordinates(life));
    let Some(group) = leader.and_then(|life| life.host.group(meta::GROUP)) else { return 0 };
    let heirs: Vec<_> = group.heirs().into_iter().map(|heir| heir.replica).collect();
    if heirs.is_empty() {
        return 0;
    }
    let heir = heirs[Simulation::random_u64() as usize % heirs.len()];
    tell(|| format!("the meta group is handed to replica {heir}"));
    u32::from(group.transfer_leader(heir).await.is_ok())
}

fn coordinates(life: &Life) -> bool {
    life.host.group(meta::GROUP).is_some_and(|group| group.is_leader())
}

/// The network heals, and whatever has a disk runs.
fn mend(world: &World) {
    tell(|| "the network heals".to_owned());
    world.net().heal();
    for node in world.living() {
        boot::start(world, node);
    }
}
