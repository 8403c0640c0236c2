//! What a cluster is like that has come to rest: the map, the groups and the disks say the same.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::placement::REPLICAS;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo};
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{GroupId, Members};

use super::objects::has_objects;
use super::world::{Life, World, objects_of};
use crate::load::now_us;

/// Virtual time for it; a dozen moves and many elections long.
const BOUND: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// Returns when the cluster has come to rest. Without clients, its replicas are equal then.
pub async fn settle(world: &World, seed: u64, act: &str, busy: bool) {
    let deadline_us = now_us() + BOUND.as_micros() as u64;
    loop {
        let violations = world.ledger().violations();
        assert!(violations.is_empty(), "seed {seed}: {act}: {violations:#?}");
        let Err(why) = is_settled(world, busy) else { return };
        assert!(now_us() < deadline_us, "seed {seed}: {act}: no rest: {why}");
        Simulation::sleep(POLL).await;
    }
}

fn is_settled(world: &World, busy: bool) -> Result<(), String> {
    let map = world.newest_map();
    let living: BTreeSet<_> = world.living().into_iter().map(|node| world.uuid(node).to_vec()).collect();
    let mapped: BTreeSet<_> = map.nodes.iter().map(|node| node.node_uuid.to_vec()).collect();
    if living != mapped {
        return Err(format!("the map has {} nodes, of {} that live", mapped.len(), living.len()));
    }
    if map.groups.len() as u32 != map.shard_count + 1 {
        return Err("shards are not placed".to_owned());
    }
    for info in &map.groups {
        is_whole(world, &map, info, busy).map_err(|why| format!("group {}: {why}", info.group))?;
    }
    for life in world.lives() {
        let wanted: BTreeSet<_> = places_on(&map, &life).collect();
        let held: BTreeSet<_> = life
            .host
            .held()
            .map_err(|error| error.to_string())?
            .into_iter()
            .map(|(_, replica)| replica)
            .collect();
        if wanted != held {
            return Err(format!("node {} holds {held:?} and shall hold {wanted:?}", life.node));
        }
    }
    Ok(())
}

fn places_on<'a>(map: &'a ClusterMap, life: &'a Life) -> impl Iterator<Item = u64> + 'a {
    let places = map.groups.iter().flat_map(|info| info.places());
    places.filter(move |place| place.node_uuid == life.uuid[..]).map(|place| place.replica_id)
}

/// Three voters on three nodes that live and shall stay, as the map has them.
fn is_whole(world: &World, map: &ClusterMap, info: &GroupInfo, busy: bool) -> Result<(), String> {
    let nodes: BTreeSet<_> = info.replicas.iter().map(|replica| &replica.node_uuid).collect();
    let stays = |uuid: &[u8]| {
        let node = map.nodes.iter().find(|node| node.node_uuid == uuid);
        node.is_some_and(|node| node.life.is_none_or(|life| !life.leaving && !life.lost))
    };
    if info.moving.is_some() || nodes.len() != REPLICAS || !nodes.iter().all(|node| stays(node)) {
        return Err(format!("{info:?}"));
    }
    let group = GroupId::try_from(info.group).map_err(|error| error.to_string())?;
    let handles: Vec<_> = nodes.iter().filter_map(|node| world.life_of(node)?.host.group(group)).collect();
    let leader = handles.iter().filter(|handle| handle.is_leader()).max_by_key(|handle| handle.status().term);
    let leader = leader.ok_or("nobody leads it")?;
    let voters: BTreeSet<_> = info.replicas.iter().map(|replica| replica.replica_id).collect();
    for handle in &handles {
        let Members { voters: sets, learners, .. } = handle.members();
        if sets != [voters.clone()] || !learners.is_empty() {
            return Err(format!(
                "replica {} has {sets:?} and {learners:?}, not {voters:?}",
                handle.replica()
            ));
        }
    }
    let index = leader.status().hash_index;
    if handles.len() != REPLICAS || (!busy && handles.iter().any(|it| it.status().hash_index != index)) {
        return Err("its replicas are not equal".to_owned());
    }
    if busy || !has_objects(group) {
        return Ok(());
    }
    let live = objects_of(leader);
    let lacking = handles.iter().map(|it| world.objects().missing(it.replica(), &live).len()).sum::<usize>();
    if lacking > 0 { Err(format!("it lacks {lacking} objects")) } else { Ok(()) }
}
