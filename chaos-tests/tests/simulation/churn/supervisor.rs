//! What a simulated node does by its map: it starts and destroys replicas, fetches objects, and lets logs shrink.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, stream};
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, LogIdOptionExt};
use rowhouse_node::shards::{Step, births, desired, plan};
use rowhouse_raft::lock::lock;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{Error, Group, GroupId, GroupSpec, ReplicaId};

use tokio::sync::mpsc;

use super::calls::between;
use super::objects::has_objects;
use super::world::{Life, World, applied_map, machine, objects_of};
use crate::trace::tell;

/// Between two looks at the map.
const ROUND_MS: std::ops::Range<u64> = 50..400;
/// Between two objects that a replica takes from others.
const FETCH_MS: std::ops::Range<u64> = 80..250;
/// Between two flushes.
const FLUSH_MS: std::ops::Range<u64> = 1_500..5_000;
/// A snapshot's position comes out of openraft's core.
const SNAPSHOT: Duration = Duration::from_millis(100);
/// Entries kept behind a snapshot: hardly any, so that whoever was away needs one.
const KEPT_ENTRIES: u64 = 12;

/// Supervises every process that is started. The caller's own task does it: the start of a replica is not known to be
/// `Send`.
pub async fn supervise_all(world: &World, started: mpsc::Receiver<Arc<Life>>) {
    let lives = stream::unfold(started, |mut started| async { Some((started.recv().await?, started)) });
    lives.for_each_concurrent(None, |life| supervise(world, life)).await;
}

async fn supervise(world: &World, life: Arc<Life>) {
    for (group, replica) in life.host.held().unwrap_or_default() {
        start(world, &life, group, replica).await;
    }
    while !life.has_ended() {
        Simulation::sleep(Duration::from_millis(between(ROUND_MS))).await;
        learn_map(world, &life);
        reconcile(world, &life).await;
    }
}

/// Somebody's map, as far as they know it themselves.
fn learn_map(world: &World, life: &Life) {
    let lives = world.lives();
    let Some(other) = lives.get(Simulation::random_u64() as usize % lives.len().max(1)) else { return };
    if other.uuid == life.uuid || world.net().connects(life.uuid, other.uuid) {
        let map = applied_map(other).filter(|map| map.map_version > other.map().map_version);
        world.tell_map(life, map.unwrap_or_else(|| other.map()));
    }
}

async fn start(world: &World, life: &Life, group: GroupId, replica: ReplicaId) {
    let started = life.host.start(GroupSpec { group, replica, machine: machine(group) }).await;
    if life.has_ended() {
        return;
    }
    tell(|| {
        format!("node {} starts replica {replica} of group {group}: {:?}", life.node, started.as_ref().err())
    });
    match started {
        // By a map of before it was destroyed.
        Ok(_) | Err(Error::Tombstone(_)) => {}
        Err(error) => world.ledger().violate(format!("replica {replica} does not start: {error}")),
    }
}

async fn reconcile(world: &World, life: &Life) {
    let map = life.map();
    let Ok(held) = life.host.held() else { return };
    if map.map_version == 0 || life.has_ended() {
        return;
    }
    let wanted = desired(&map, &life.uuid);
    let held = held.into_iter().map(|(group, replica)| (replica, group)).collect();
    let running = life.host.groups().iter().map(|group| (group.id(), group.replica())).collect();
    for step in plan(&map, &wanted, &held, &running) {
        match step {
            Step::Start { group, replica } => start(world, life, group, replica).await,
            Step::Destroy { group, replica } => destroy(world, life, group, replica).await,
        }
    }
    let empty = life.host.groups().into_iter().map(|group| group.status());
    let empty =
        empty.filter(|it| it.term == 0 && it.last_log == 0).map(|it| (it.group, it.replica)).collect();
    for (group, members) in births(&wanted, &empty) {
        if let Some(group) = life.host.group(group) {
            drop(group.initialize(members.clone()).await);
        }
    }
}

/// The move that removed the replica is over: its successors must have what it had.
async fn destroy(world: &World, life: &Life, group: GroupId, replica: ReplicaId) {
    if life.host.destroy(group, replica).await.is_err() {
        return;
    }
    tell(|| format!("node {} destroyed replica {replica} of group {group}", life.node));
    world.ledger().destroy(replica);
    world.forget(group, replica);
    let live = world.live_objects(group);
    let voters = life.map().groups.into_iter().filter(|info| info.group == u32::from(group));
    for voter in voters.flat_map(|info| info.replicas) {
        let lacks = world.objects().unfounded(voter.replica_id, &live);
        if !lacks.is_empty() {
            world.ledger().violate(format!(
                "group {group}: replica {replica} is destroyed, and its successor {} lacks {} objects",
                voter.replica_id,
                lacks.len()
            ));
        }
    }
}

/// Looks for what replicas lack and takes it from others, one object after the other, those that stay longest first.
pub async fn keep_objects(world: World, life: Arc<Life>) {
    while !life.has_ended() {
        Simulation::sleep(Duration::from_millis(between(FETCH_MS))).await;
        for handle in life.host.groups().into_iter().filter(|group| has_objects(group.id())) {
            look(&world, &life, &handle);
        }
    }
}

fn look(world: &World, life: &Life, handle: &Group<Simulation>) {
    let (seen, replica) = (handle.status().hash_index, handle.replica());
    let missing = world.objects().missing(replica, &objects_of(handle));
    lock(&life.looked).insert(replica, (seen, missing.len() as u64));
    let reachable = |value: &&u64| {
        let holders: Vec<ReplicaId> = world.objects().holders(**value).collect();
        let disks =
            holders.into_iter().filter_map(|holder| world.ledger().disk_of(holder)).collect::<Vec<_>>();
        disks.into_iter().any(|disk| world.net().connects(life.uuid, disk))
    };
    if let Some(value) = missing.iter().rev().find(reachable) {
        world.objects().hold(*value, replica);
        world.ledger().counts.fetched += 1;
    }
}

/// Makes state durable and purges logs hard.
pub async fn shrink(world: World, life: Arc<Life>) {
    loop {
        Simulation::sleep(Duration::from_millis(between(FLUSH_MS))).await;
        if life.has_ended() {
            return;
        }
        if let Err(error) = life.host.flush().await {
            world.ledger().violate(format!("node {} does not flush: {error}", life.node));
        }
        for group in life.host.groups() {
            drop(group.trigger_snapshot().await);
            Simulation::sleep(SNAPSHOT).await;
            let snapshot = group.raft().metrics().borrow_watched().snapshot.index();
            if let Some(upto) = snapshot.and_then(|index| index.checked_sub(KEPT_ENTRIES)) {
                drop(group.raft().trigger().purge_log(upto).await);
            }
        }
    }
}
