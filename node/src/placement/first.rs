//! Pure: which nodes hold which shard.

use bytes::Bytes;
use rowhouse_proto::wire::command::place_shards::Placement;
use rowhouse_proto::wire::meta::NodeInfo;

/// Three survive the loss of one; more cost a third of the write rate each.
pub const REPLICAS: usize = 3;

/// Shard g begins at node g and goes round, so that replicas and first leaders (the first named, which
/// gets the lowest replica id) are spread evenly.
pub fn place(nodes: &[NodeInfo], shard_count: u32) -> Vec<Placement> {
    if nodes.is_empty() {
        return Vec::new();
    }
    let node = |place: usize| -> Bytes { nodes[place % nodes.len()].node_uuid.clone() };
    (0..shard_count)
        .map(|group| {
            let first = group as usize;
            let replicas = REPLICAS.min(nodes.len());
            Placement { group, node_uuids: (first..first + replicas).map(node).collect() }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    #[test]
    fn replicas_and_first_leaders_are_spread_evenly_over_distinct_nodes() {
        for (count, shards) in [(1u8, 16u32), (2, 16), (3, 16), (5, 64), (7, 64)] {
            let nodes: Vec<NodeInfo> = (0..count)
                .map(|n| NodeInfo { node_uuid: vec![n; 16].into(), ..NodeInfo::default() })
                .collect();
            let placements = place(&nodes, shards);
            assert_eq!(placements.len(), shards as usize);
            let (mut held, mut led) = (BTreeMap::<Bytes, u32>::new(), BTreeMap::<Bytes, u32>::new());
            for placement in &placements {
                let distinct: BTreeSet<_> = placement.node_uuids.iter().collect();
                assert_eq!(distinct.len(), REPLICAS.min(nodes.len()));
                *led.entry(placement.node_uuids[0].clone()).or_default() += 1;
                for node in &placement.node_uuids {
                    *held.entry(node.clone()).or_default() += 1;
                }
            }
            for counts in [held, led] {
                assert_eq!(counts.len(), nodes.len());
                let (least, most) = (counts.values().min(), counts.values().max());
                let spread = most.zip(least).map(|(most, least)| most - least).expect("not empty");
                assert!(spread <= REPLICAS as u32, "{count} nodes: {counts:?}");
            }
        }
    }
}
