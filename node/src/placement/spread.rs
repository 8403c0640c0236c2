//! Pure: the next replica to move so that nodes carry alike, in number and in bytes.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo};

use super::nodes::{Nodes, bytes_of};
use super::observed::Observed;
use crate::identity::NodeUuid;

/// Unasked, nothing moves while the nodes differ by no more than this, in percent of the mean.
const SPREAD_PERCENT: usize = 10;
/// Fewer bytes of difference are not worth a move.
const SPREAD_BYTES_MIN: u64 = 1 << 30;

/// A replica that shall move.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shift {
    pub group: u32,
    pub from: NodeUuid,
    pub to: NodeUuid,
}

/// The move that evens out most, if one is due. `asked`: by the operator, so that a difference of one is all that stays.
pub fn next_shift(
    map: &ClusterMap,
    observed: &Observed,
    nodes: &Nodes,
    asked: bool,
    moves_max: u32,
) -> Option<Shift> {
    let taking = || nodes.0.iter().filter(|(_, node)| node.takes && node.moves < moves_max);
    let count = taking().count();
    if count < 2 {
        return None;
    }
    let fullest = taking().max_by_key(|(_, node)| (node.replicas, node.bytes))?;
    let emptiest = taking().min_by_key(|(_, node)| (node.replicas, node.bytes))?;
    let mean = taking().map(|(_, node)| node.replicas).sum::<usize>() / count;
    let tolerated = if asked { 1 } else { (mean * SPREAD_PERCENT / 100).max(1) };
    if fullest.1.replicas > emptiest.1.replicas + tolerated {
        let surplus = fullest.1.bytes.saturating_sub(emptiest.1.bytes) / 2;
        return pick(map, observed, nodes, *fullest.0, *emptiest.0, |bytes| Some(bytes.abs_diff(surplus)));
    }
    let heaviest = taking().max_by_key(|(_, node)| node.bytes)?;
    let lightest = taking().min_by_key(|(_, node)| node.bytes)?;
    let difference = heaviest.1.bytes.saturating_sub(lightest.1.bytes);
    let mean = taking().map(|(_, node)| node.bytes).sum::<u64>() / count as u64;
    if difference <= SPREAD_BYTES_MIN.max(mean / 100 * SPREAD_PERCENT as u64) {
        return None;
    }
    // A replica of half the difference makes them equal; one of all of it would only change their places.
    let evens = |bytes: u64| (bytes > 0 && bytes < difference).then(|| bytes.abs_diff(difference / 2));
    pick(map, observed, nodes, *heaviest.0, *lightest.0, evens)
}

/// The replica on `from` that may go to `to` and is rated lowest. Followers go before leaders.
fn pick(
    map: &ClusterMap,
    observed: &Observed,
    nodes: &Nodes,
    from: NodeUuid,
    to: NodeUuid,
    rate: impl Fn(u64) -> Option<u64>,
) -> Option<Shift> {
    let fits = |group: &&GroupInfo| {
        let has = |node: &NodeUuid| group.is_on(&node[..]);
        group.group != META_GROUP
            && group.moving.is_none()
            && has(&from)
            && !has(&to)
            && nodes.sharing_zone(group, Some(from), &to) == 0
    };
    let rated = map.groups.iter().filter(fits).filter_map(|group| {
        let leader = observed.groups.get(&group.group)?.leader.as_ref()?;
        let rating = rate(bytes_of(group.group, observed))?;
        leader.is_settled().then_some(((rating, leader.node == from, group.group), group.group))
    });
    rated.min().map(|(_, group)| Shift { group, from, to })
}
