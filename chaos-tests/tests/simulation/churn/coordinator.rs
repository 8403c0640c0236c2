//! The coordinator of a simulated node: the real plan over what nodes report, while this node leads the meta group.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use openraft::AsyncRuntime;
use prost::Message;
use rowhouse_node::meta;
use rowhouse_node::placement::{Bounds, Observed, Step, marks, place, plan, report};
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{MetaOutcome, PlaceShards};
use rowhouse_proto::wire::meta::{ClusterMap, GroupStatus, NodeStatusReply};
use rowhouse_proto::{COMMAND_VERSION, META_GROUP};
use rowhouse_raft::Group;
use rowhouse_raft::lock::lock;
use rowhouse_raft::sim::Simulation;

use super::calls::{Request, ask, between, is_answered};
use super::world::{Life, World, silence};
use crate::load::now_us;
use crate::nodes::NodeUuid;
use crate::trace::tell;

/// A node that is away for so long is replaced, ms.
pub const DEAD_AFTER_MS: u64 = 6_000;
const BOUNDS: Bounds =
    Bounds { dead_after_ms: DEAD_AFTER_MS, moves_per_node: 2, disk_used_percent_max: 85, rebalance: true };
/// Between two rounds.
const ROUND_MS: std::ops::Range<u64> = 150..500;
/// A new coordinator listens for so long before it plans.
const LISTENS: Duration = Duration::from_secs(2);
/// Between two looks for a leadership.
const NOTICE: Duration = Duration::from_millis(200);
/// Between two signs of life.
const PING: Duration = Duration::from_millis(900);

pub async fn coordinate(world: World, life: Arc<Life>) {
    while !life.has_ended() {
        match life.host.group(meta::GROUP).filter(|group| group.is_leader()) {
            Some(group) => lead(&world, &life, &group).await,
            None => Simulation::sleep(NOTICE).await,
        }
    }
}

/// Hears of the others, as pings do.
pub async fn ping(world: World, life: Arc<Life>) {
    while !life.has_ended() {
        for node in life.map().nodes {
            if let Some(other) = world.life_of(&node.node_uuid)
                && world.net().connects(life.uuid, other.uuid)
            {
                lock(&life.heard_us).insert(other.uuid, now_us());
            }
        }
        Simulation::sleep(PING).await;
    }
}

/// Coordinates for as long as this node leads in this term.
async fn lead(world: &World, life: &Arc<Life>, group: &Group<Simulation>) {
    let (term, since_us) = (group.status().term, now_us());
    tell(|| format!("node {} coordinates in term {term}", life.node));
    let mut observed = Observed::default();
    while !life.has_ended() && group.is_leader() && group.status().term == term {
        if group.read_barrier().await.is_ok() {
            let listened = Duration::from_micros(now_us() - since_us);
            step(world, life, group, term, listened, &mut observed).await;
        }
        Simulation::sleep(Duration::from_millis(between(ROUND_MS))).await;
    }
}

async fn step(
    world: &World,
    life: &Arc<Life>,
    group: &Group<Simulation>,
    term: u64,
    listened: Duration,
    observed: &mut Observed,
) {
    let Ok(Some(map)) = group.read(|view| meta::cluster_map(view)) else { return };
    if map.groups.iter().all(|info| info.group == META_GROUP) {
        let placements = place(&map.nodes, map.shard_count);
        return propose(life, group, Body::PlaceShards(PlaceShards { placements })).await;
    }
    let statuses = statuses(world, life, &map).await;
    *observed = Observed::of(&statuses, observed);
    let mut due = marks(&map, listened, |node| silence(life, node));
    if let Some(now_ms) = life.clock.judged_ms().filter(|_| listened >= LISTENS) {
        due.extend(plan(&map, observed, BOUNDS, now_ms));
    }
    join_all(due.into_iter().map(|step| carry_out(world, life, group, term, step))).await;
}

async fn carry_out(world: &World, life: &Life, group: &Group<Simulation>, term: u64, step: Step) {
    let (to, request) = match step {
        Step::Change(change) => (change.leader, Request::Change(change)),
        Step::Transfer { group, leader, to_replica } => (leader, Request::Transfer { group, to_replica }),
        step => {
            tell(|| format!("{step:?}"));
            if let Some(body) = step.command() {
                propose(life, group, body).await;
            }
            return;
        }
    };
    if let Err(why) = ask(world, life.uuid, to, request, (term, group.replica())).await {
        tell(|| format!("a step was not carried out: {why}"));
    }
}

/// Nothing is known of a proposal that fails: the next round looks again.
async fn propose(life: &Life, group: &Group<Simulation>, body: Body) {
    let command = meta::encode(COMMAND_VERSION, body, life.clock.physical_ms());
    let Ok(reply) = group.propose(command, Bytes::new()).await else { return };
    if let Ok(MetaOutcome { refused, .. }) = MetaOutcome::decode(reply)
        && !refused.is_empty()
    {
        tell(|| format!("refused: {refused}"));
    }
}

/// Of those nodes that answer; each as it was when it was asked.
async fn statuses(world: &World, life: &Life, map: &ClusterMap) -> Vec<NodeStatusReply> {
    let asked = map.nodes.iter().map(|info| async {
        let to = NodeUuid::try_from(&info.node_uuid[..]).ok()?;
        if !is_answered(world, life.uuid, to).await {
            return None;
        }
        let life_there = world.life_of(&to)?;
        let status = status(&life_there);
        is_answered(world, to, life.uuid).await.then_some(status)
    });
    join_all(asked).await.into_iter().flatten().collect()
}

fn status(life: &Life) -> NodeStatusReply {
    let group = |group: Arc<Group<Simulation>>| {
        let looked = lock(&life.looked).get(&group.replica()).copied();
        GroupStatus {
            objects_seen: looked.map(|(seen, _)| seen),
            objects_missing: looked.map_or(0, |(_, missing)| missing),
            ..report(&group)
        }
    };
    NodeStatusReply {
        node_uuid: life.uuid.to_vec().into(),
        groups: life.host.groups().into_iter().map(group).collect(),
        used_bytes: 10,
        disk_bytes: 100,
        ..NodeStatusReply::default()
    }
}
