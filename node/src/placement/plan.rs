//! Pure: from the map and what is observed to the next steps. Nothing is remembered between rounds that matters.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo};

use super::advance::{advance, drop_strays, settle};
use super::bounds::Bounds;
use super::first::REPLICAS;
use super::nodes::{Nodes, bytes_of, uuid};
use super::observed::{Leader, Observed};
use super::spread::{Shift, next_shift};
use super::step::Step;
use crate::identity::NodeUuid;

/// Why a replica moves that nothing is wrong with.
const CROWDED: &str = "two replicas share a zone";

/// The steps that are due. `now_ms` is unix time.
pub fn plan(map: &ClusterMap, observed: &Observed, bounds: Bounds, now_ms: u64) -> Vec<Step> {
    let mut nodes = Nodes::of(map, observed, bounds, now_ms);
    let mut steps: Vec<Step> = map.groups.iter().filter_map(|group| go_on(group, observed, &nodes)).collect();
    let begun = begin(map, observed, &mut nodes, bounds);
    let rests = map.groups.iter().all(|group| group.moving.is_none());
    let whole = map.groups.iter().all(|group| nodes.are_present(group) && all_run(group, observed));
    let still = rests && whole && steps.is_empty() && begun.is_empty();
    steps.extend(begun);
    // A group that misses a replica is not made to move another one for the sake of balance.
    if still {
        steps.extend(spread(map, observed, &mut nodes, bounds));
    }
    let empty = |node: &NodeUuid| !map.groups.iter().any(|group| group.is_on(&node[..]));
    let gone = nodes.0.iter().filter(|(uuid, node)| node.life.lost && empty(uuid));
    steps.extend(gone.map(|(node, _)| Step::Remove { node: *node }));
    steps
}

/// The next step of what is under way in a group.
fn go_on(group: &GroupInfo, observed: &Observed, nodes: &Nodes) -> Option<Step> {
    let seen = observed.groups.get(&group.group)?;
    match &group.moving {
        Some(moving) => {
            let to = moving.add.as_ref().map(|add| uuid(&add.node_uuid));
            let give_up = to.is_some_and(|to| nodes.must_leave(&to).is_some());
            advance(group, moving, seen, give_up)
        }
        None => settle(group, seen.leader.as_ref()?).or_else(|| drop_strays(group, seen.leader.as_ref()?)),
    }
}

/// Moves that cannot wait: from nodes that are gone or shall go, to groups that have too few, out of crowded zones.
fn begin(map: &ClusterMap, observed: &Observed, nodes: &mut Nodes, bounds: Bounds) -> Vec<Step> {
    let mut due: Vec<(usize, &GroupInfo)> = Vec::new();
    for group in map.groups.iter().filter(|group| group.moving.is_none()) {
        let living = group.replicas.iter().filter(|it| !is_dead(nodes, &it.node_uuid)).count();
        due.push((living, group));
    }
    // Those with the fewest copies first, and the meta group before shards.
    due.sort_by_key(|(living, group)| (*living, group.group != META_GROUP, group.group));
    due.into_iter().filter_map(|(_, group)| begin_one(group, observed, nodes, bounds)).collect()
}

fn is_dead(nodes: &Nodes, node_uuid: &[u8]) -> bool {
    nodes.0.get(&uuid(node_uuid)).is_none_or(|node| node.dead)
}

fn begin_one(group: &GroupInfo, observed: &Observed, nodes: &mut Nodes, bounds: Bounds) -> Option<Step> {
    let leader = observed.groups.get(&group.group)?.leader.as_ref()?;
    if !is_as_mapped(group, leader) {
        return None;
    }
    let places = || group.replicas.iter().map(|it| uuid(&it.node_uuid));
    // Dead ones before those that only shall leave.
    let leaving = places().max_by_key(|node| {
        (nodes.must_leave(node).is_some(), nodes.0.get(node).is_none_or(|node| node.dead))
    });
    let leaving = leaving.and_then(|node| Some((node, nodes.must_leave(&node)?)));
    let (from, reason) = match leaving {
        Some((node, reason)) => (Some(node), reason),
        None if group.replicas.len() < REPLICAS => (None, "it has too few replicas".to_owned()),
        None => (Some(nodes.crowded(group)?), CROWDED.to_owned()),
    };
    // A node that is gone does nothing for the move, so that it is not counted for it.
    let busy =
        |node: NodeUuid| nodes.0.get(&node).is_some_and(|it| !it.dead && it.moves >= bounds.moves_per_node);
    if from.is_some_and(busy) {
        return None;
    }
    let spare = from.is_some() && group.replicas.len() > REPLICAS;
    let to_node = match nodes.target(group, from, bounds.moves_per_node) {
        // An even number of voters survives no more than one less of them.
        _ if spare && group.replicas.len().is_multiple_of(2) => None,
        Some(to) if reason == CROWDED && nodes.sharing_zone(group, from, &to) > 0 => return None,
        Some(to) => Some(to),
        None if spare => None,
        None => return None,
    };
    Some(begin_step(group, observed, nodes, from, to_node, reason))
}

/// Whether the group has settled on exactly the replicas that the map names.
fn is_as_mapped(group: &GroupInfo, leader: &Leader) -> bool {
    let (mut voters, mut mapped) =
        (leader.members.voters.clone(), group.replicas.iter().map(|it| it.replica_id).collect::<Vec<_>>());
    voters.sort_unstable();
    mapped.sort_unstable();
    leader.is_settled() && leader.members.learners.is_empty() && voters == mapped
}

/// Whether all replicas that the map names run: one that is broken has a node that answers.
fn all_run(group: &GroupInfo, observed: &Observed) -> bool {
    let Some(seen) = observed.groups.get(&group.group) else { return false };
    let runs = |id: u64| seen.replicas.get(&id).is_some_and(|replica| !replica.is_broken);
    group.replicas.iter().all(|it| runs(it.replica_id))
}

fn spread(map: &ClusterMap, observed: &Observed, nodes: &mut Nodes, bounds: Bounds) -> Vec<Step> {
    if !bounds.rebalance && !map.rebalance {
        return Vec::new();
    }
    let mut steps = Vec::new();
    let mut planned = map.clone();
    while let Some(Shift { group, from, to }) =
        next_shift(&planned, observed, nodes, map.rebalance, bounds.moves_per_node)
    {
        let Some(info) = map.groups.iter().find(|info| info.group == group) else { break };
        let reason = "nodes carry unevenly".to_owned();
        steps.push(begin_step(info, observed, nodes, Some(from), Some(to), reason));
        planned.groups.retain(|info| info.group != group);
    }
    if steps.is_empty() && map.rebalance {
        steps.push(Step::EndRebalance);
    }
    steps
}

fn begin_step(
    group: &GroupInfo,
    observed: &Observed,
    nodes: &mut Nodes,
    from: Option<NodeUuid>,
    to_node: Option<NodeUuid>,
    reason: String,
) -> Step {
    nodes.plan(bytes_of(group.group, observed), from, to_node);
    let on = |node: NodeUuid| group.replicas.iter().find(|it| it.node_uuid == node[..]);
    let remove = from.and_then(on).map_or(0, |it| it.replica_id);
    Step::Begin { group: group.group, epoch: group.epoch, remove, to_node, reason }
}

#[cfg(test)]
mod tests;
