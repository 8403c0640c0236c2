//! Pure: which nodes the log shall call away, and which are back.

use std::time::Duration;

use rowhouse_proto::wire::meta::ClusterMap;

use super::nodes::uuid;
use super::step::Step;
use crate::identity::NodeUuid;

/// A node silent for so long is away. Its leaderships have moved by then; its replicas wait for `dead_after_s`.
const AWAY_AFTER: Duration = Duration::from_secs(10);
/// A node that was away and was heard of so lately is back.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// The marks that are due. The coordinator has listened for `listened`; `silence` is how long ago it heard of a node, if
/// ever.
pub fn marks(
    map: &ClusterMap,
    listened: Duration,
    silence: impl Fn(&NodeUuid) -> Option<Duration>,
) -> Vec<Step> {
    let due = map.nodes.iter().filter_map(|info| {
        let node = uuid(&info.node_uuid);
        let was_away = info.life.is_some_and(|life| life.away_since_ms != 0);
        let quiet = silence(&node);
        let away = match quiet {
            _ if was_away => quiet.is_none_or(|quiet| quiet >= HEARD_WITHIN),
            quiet => listened >= AWAY_AFTER && quiet.is_none_or(|quiet| quiet >= AWAY_AFTER),
        };
        (away != was_away).then_some(Step::Mark { node, away })
    });
    due.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{NodeInfo, NodeLife};

    fn node(n: u8, away_since_ms: u64) -> NodeInfo {
        let life = NodeLife { away_since_ms, ..NodeLife::default() };
        NodeInfo { node_uuid: vec![n; 16].into(), life: Some(life), ..NodeInfo::default() }
    }

    #[test]
    fn a_node_is_marked_when_it_falls_silent_and_when_it_is_back() {
        let map = ClusterMap { nodes: vec![node(1, 0), node(2, 7)], ..ClusterMap::default() };
        let after = |listened, seconds: [Option<u64>; 2]| {
            let quiet = |node: &NodeUuid| seconds[usize::from(node[0]) - 1].map(Duration::from_secs);
            marks(&map, Duration::from_secs(listened), quiet)
        };
        let (gone, back) =
            (Step::Mark { node: [1; 16], away: true }, Step::Mark { node: [2; 16], away: false });
        assert_eq!(after(99, [Some(9), Some(3)]), []);
        assert_eq!(after(99, [Some(10), None]), std::slice::from_ref(&gone));
        assert_eq!(after(99, [Some(1), Some(2)]), std::slice::from_ref(&back));
        assert_eq!(after(9, [None, None]), [], "a new coordinator listens first");
        assert_eq!(after(10, [None, Some(0)]), [gone, back]);
    }
}
