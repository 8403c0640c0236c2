//! Processes on simulated machines: their start with all their tasks, and the watch over all of them.

use std::sync::Arc;
use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::meta;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{GroupSpec, Replica};

use super::coordinator::{coordinate, ping};
use super::supervisor::{keep_objects, shrink};
use super::world::{World, machine};
use crate::cluster::compare_replicas;
use crate::trace::tell;

/// Between two looks at everything.
const WATCH: Duration = Duration::from_millis(40);

/// Starts the process of a machine; nothing if it runs.
pub fn start(world: &World, node: usize) {
    if world.life(node).is_some() {
        return;
    }
    let life =
        world.open(node).unwrap_or_else(|error| panic!("node {node} does not open its disks: {error}"));
    tell(|| format!("node {node} starts, with map {}", life.map().map_version));
    drop(Simulation::spawn(compare_replicas(Arc::downgrade(&life.host))));
    world.supervise(life.clone());
    drop(Simulation::spawn(keep_objects(world.clone(), life.clone())));
    drop(Simulation::spawn(shrink(world.clone(), life.clone())));
    drop(Simulation::spawn(ping(world.clone(), life.clone())));
    drop(Simulation::spawn(coordinate(world.clone(), life)));
}

/// The first nodes, and the meta group on them, as `cluster init` makes it.
pub async fn found(world: &World, nodes: usize) {
    for _ in 0..nodes {
        let node = world.add();
        start(world, node);
    }
    let replica = |node: usize| node as u64 + 1;
    let members = (0..nodes).map(|node| (replica(node), Replica { node_uuid: world.uuid(node) })).collect();
    for node in 0..nodes {
        let Some(life) = world.life(node) else { continue };
        let spec = GroupSpec { group: meta::GROUP, replica: replica(node), machine: machine(meta::GROUP) };
        life.host.start(spec).await.unwrap_or_else(|error| panic!("the meta group does not start: {error}"));
    }
    if let Some(group) = world.life(0).and_then(|life| life.host.group(meta::GROUP)) {
        group
            .initialize(members)
            .await
            .unwrap_or_else(|error| panic!("the meta group does not begin: {error}"));
    }
}

/// Looks at everything that runs, again and again.
pub async fn watch(world: World) {
    loop {
        look(&world);
        Simulation::sleep(WATCH).await;
    }
}

/// One look at every replica that lives on a disk of a running node.
pub fn look(world: &World) {
    for life in world.lives() {
        let held = life.host.held().unwrap_or_default();
        let statuses: Vec<_> = life.host.groups().iter().map(|group| group.status()).collect();
        let mut ledger = world.ledger();
        for (_, replica) in held {
            ledger.claim(replica, life.uuid);
        }
        for status in &statuses {
            ledger.observe(status);
        }
    }
}
