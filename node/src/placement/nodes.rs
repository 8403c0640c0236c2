//! Pure: the nodes as the planner weighs them: whether they live, may take replicas, and how much they carry.

use std::collections::BTreeMap;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, NodeInfo, NodeLife};

use super::bounds::Bounds;
use super::observed::Observed;
use crate::identity::NodeUuid;

/// One node of the map.
#[derive(Clone, Debug)]
pub struct Node {
    pub name: String,
    pub zone: String,
    pub life: NodeLife,
    /// It is away for longer than the cluster waits.
    pub dead: bool,
    /// It answers now.
    pub answers: bool,
    /// It answers, and has room.
    pub takes: bool,
    /// Replicas it has, with those on their way in and without those on their way out.
    pub replicas: usize,
    /// Bytes of their large bodies.
    pub bytes: u64,
    /// Replicas that move to it, and away from it.
    pub moves: u32,
}

/// All nodes of the map, with what moves counted as moved.
#[derive(Clone, Debug, Default)]
pub struct Nodes(pub BTreeMap<NodeUuid, Node>);

/// The uuid in a message. Apply lets only whole ones into the map.
pub fn uuid(bytes: &[u8]) -> NodeUuid {
    NodeUuid::try_from(bytes).unwrap_or_default()
}

impl Nodes {
    /// Weighs the nodes of `map`; `now_ms` is unix time.
    pub fn of(map: &ClusterMap, observed: &Observed, bounds: Bounds, now_ms: u64) -> Self {
        let Bounds { dead_after_ms, disk_used_percent_max, .. } = bounds;
        let weigh = |info: &NodeInfo| {
            let (node, life) = (uuid(&info.node_uuid), info.life.unwrap_or_default());
            let away_ms = if life.away_since_ms == 0 { 0 } else { now_ms.saturating_sub(life.away_since_ms) };
            let takes = observed.nodes.get(&node).is_some_and(|seen| {
                let used_max = seen.disk_bytes.saturating_mul(disk_used_percent_max);
                let roomy = seen.used_bytes.saturating_mul(100) <= used_max;
                roomy && !seen.low_space && !seen.draining
            });
            let weighed = Node {
                name: info.name.clone(),
                zone: info.zone.clone(),
                life,
                dead: life.lost || away_ms > dead_after_ms,
                answers: observed.nodes.contains_key(&node),
                takes: takes && !life.lost && !life.leaving,
                replicas: 0,
                bytes: 0,
                moves: 0,
            };
            (node, weighed)
        };
        let mut nodes = Self(map.nodes.iter().map(weigh).collect());
        for group in &map.groups {
            nodes.count(group, observed);
        }
        nodes
    }

    fn count(&mut self, group: &GroupInfo, observed: &Observed) {
        let bytes = bytes_of(group.group, observed);
        for replica in group.replicas_after() {
            if let Some(node) = self.0.get_mut(&uuid(&replica.node_uuid)) {
                node.replicas += usize::from(group.group != META_GROUP);
                node.bytes += bytes;
            }
        }
        let Some(moving) = &group.moving else { return };
        let ends = group
            .places()
            .filter(|it| it.replica_id == moving.remove || Some(*it) == moving.add.as_ref())
            .map(|it| uuid(&it.node_uuid));
        for end in ends.collect::<Vec<_>>() {
            if let Some(node) = self.0.get_mut(&end) {
                node.moves += 1;
            }
        }
    }

    /// Counts a move that is about to begin.
    pub fn plan(&mut self, bytes: u64, from: Option<NodeUuid>, to: Option<NodeUuid>) {
        if let Some(node) = from.and_then(|from| self.0.get_mut(&from)) {
            node.replicas = node.replicas.saturating_sub(1);
            node.bytes = node.bytes.saturating_sub(bytes);
            node.moves += 1;
        }
        if let Some(node) = to.and_then(|to| self.0.get_mut(&to)) {
            node.replicas += 1;
            node.bytes += bytes;
            node.moves += 1;
        }
    }

    /// Whether every node of the group's replicas answers, and none is away or shall go.
    pub fn are_present(&self, group: &GroupInfo) -> bool {
        let present = |node: &Node| node.answers && node.life == NodeLife::default();
        group.replicas.iter().all(|it| self.0.get(&uuid(&it.node_uuid)).is_some_and(present))
    }

    /// Whether a replica may not stay on the node, and why.
    pub fn must_leave(&self, node: &NodeUuid) -> Option<String> {
        let Some(node) = self.0.get(node) else { return Some("its node left the map".to_owned()) };
        match node {
            Node { life, name, .. } if life.lost => Some(format!("node {name} is lost")),
            Node { dead: true, name, .. } => Some(format!("node {name} is away for too long")),
            Node { life, name, .. } if life.leaving => Some(format!("node {name} is leaving")),
            _ => None,
        }
    }

    /// The best node for a replica of `group` in place of the one on `from`: in a zone of its own if one can be had, then
    /// the one that carries least.
    pub fn target(&self, group: &GroupInfo, from: Option<NodeUuid>, moves_max: u32) -> Option<NodeUuid> {
        let free = self
            .0
            .iter()
            .filter(|(uuid, node)| node.takes && node.moves < moves_max && !group.is_on(&uuid[..]));
        let best = free.min_by_key(|(uuid, node)| {
            let shared = self.sharing_zone(group, from, uuid);
            (shared, node.replicas, node.bytes, rendezvous(group.group, uuid))
        });
        best.map(|(uuid, _)| *uuid)
    }

    /// How many replicas of `group`, without the one on `from`, are in the zone of `to`.
    pub fn sharing_zone(&self, group: &GroupInfo, from: Option<NodeUuid>, to: &NodeUuid) -> usize {
        let zone_of = |node: &NodeUuid| self.0.get(node).map(|node| node.zone.as_str()).unwrap_or_default();
        let zone = zone_of(to);
        let others = group.replicas_after().into_iter().map(|it| uuid(&it.node_uuid));
        others.filter(|it| Some(*it) != from && !zone.is_empty() && zone_of(it) == zone).count()
    }

    /// A replica's node whose zone has another replica of the group, if there is a zone with none.
    pub fn crowded(&self, group: &GroupInfo) -> Option<NodeUuid> {
        let places: Vec<NodeUuid> = group.replicas_after().iter().map(|it| uuid(&it.node_uuid)).collect();
        let zone_of = |node: &NodeUuid| self.0.get(node).map(|node| node.zone.as_str()).unwrap_or_default();
        let crowded = places.iter().enumerate().find(|(at, node)| {
            let zone = zone_of(node);
            !zone.is_empty() && places[..*at].iter().any(|other| zone_of(other) == zone)
        });
        let (_, crowded) = crowded?;
        let taken: Vec<&str> = places.iter().map(zone_of).collect();
        let better = self
            .0
            .values()
            .any(|node| node.takes && !node.zone.is_empty() && !taken.contains(&node.zone.as_str()));
        better.then_some(*crowded)
    }
}

/// Bytes of a group's large bodies, as its leader says.
pub fn bytes_of(group: u32, observed: &Observed) -> u64 {
    let leader = observed.groups.get(&group).and_then(|seen| seen.leader.as_ref());
    leader.map_or(0, |leader| leader.bytes)
}

/// Spreads groups over nodes that are as good as each other.
fn rendezvous(group: u32, node: &NodeUuid) -> [u8; 8] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&group.to_be_bytes()).update(node);
    let mut first = [0; 8];
    first.copy_from_slice(&hasher.finalize().as_bytes()[..8]);
    first
}
