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
///
/// Zones decide which pairs of nodes can help each other: the fullest node may have nothing that the emptiest could take,
/// while another full one has.
pub fn next_shift(
    map: &ClusterMap,
    observed: &Observed,
    nodes: &Nodes,
    asked: bool,
    moves_max: u32,
) -> Option<Shift> {
    let taking: Vec<Carrier> = nodes
        .0
        .iter()
        .filter(|(_, node)| node.takes && node.moves < moves_max)
        .map(|(uuid, node)| Carrier { uuid: *uuid, replicas: node.replicas, bytes: node.bytes })
        .collect();
    if taking.len() < 2 {
        return None;
    }
    let fitting = Fitting { map, observed, nodes };
    let mean = taking.iter().map(|node| node.replicas).sum::<usize>() / taking.len();
    let tolerated = if asked { 1 } else { (mean * SPREAD_PERCENT / 100).max(1) };
    let by_number = fitting.first(
        sorted(&taking, |node| (node.replicas, node.bytes)),
        |from, to| from.replicas > to.replicas + tolerated,
        |from, to, bytes| Some(bytes.abs_diff(from.bytes.saturating_sub(to.bytes) / 2)),
    );
    by_number.or_else(|| {
        let mean = taking.iter().map(|node| node.bytes).sum::<u64>() / taking.len() as u64;
        let tolerated = SPREAD_BYTES_MIN.max(mean / 100 * SPREAD_PERCENT as u64);
        let difference = |from: &Carrier, to: &Carrier| from.bytes.saturating_sub(to.bytes);
        fitting.first(
            sorted(&taking, |node| (node.bytes, node.replicas)),
            |from, to| difference(from, to) > tolerated,
            // A replica of half the difference makes them equal; one of all of it would only change their places.
            |from, to, bytes| {
                let difference = difference(from, to);
                (bytes > 0 && bytes < difference).then(|| bytes.abs_diff(difference / 2))
            },
        )
    })
}

/// A node that may give and take, and what it carries.
#[derive(Clone, Copy)]
struct Carrier {
    uuid: NodeUuid,
    replicas: usize,
    bytes: u64,
}

fn sorted<K: Ord>(nodes: &[Carrier], key: impl Fn(&Carrier) -> K) -> Vec<Carrier> {
    let mut nodes = nodes.to_vec();
    nodes.sort_by_key(key);
    nodes
}

/// Which replicas may go where.
struct Fitting<'a> {
    map: &'a ClusterMap,
    observed: &'a Observed,
    nodes: &'a Nodes,
}

impl Fitting<'_> {
    /// The move between the two nodes that differ most of those that have one. `ascending` is sorted by what they carry.
    fn first(
        &self,
        ascending: Vec<Carrier>,
        differ: impl Fn(&Carrier, &Carrier) -> bool,
        rate: impl Fn(&Carrier, &Carrier, u64) -> Option<u64>,
    ) -> Option<Shift> {
        ascending.iter().rev().find_map(|from| {
            let groups = self.groups_of(from);
            let emptier = ascending.iter().take_while(|to| differ(from, to));
            emptier.into_iter().find_map(|to| {
                let group = self.pick(&groups, from, to, |bytes| rate(from, to, bytes))?;
                Some(Shift { group, from: from.uuid, to: to.uuid })
            })
        })
    }

    /// Groups that rest with a replica on the node. The meta group stays where it is.
    fn groups_of(&self, node: &Carrier) -> Vec<&GroupInfo> {
        let is_on = |group: &&GroupInfo| {
            group.group != META_GROUP && group.moving.is_none() && group.is_on(&node.uuid[..])
        };
        self.map.groups.iter().filter(is_on).collect()
    }

    /// The group whose replica may go and is rated lowest. Followers go before leaders.
    fn pick(
        &self,
        groups: &[&GroupInfo],
        from: &Carrier,
        to: &Carrier,
        rate: impl Fn(u64) -> Option<u64>,
    ) -> Option<u32> {
        let fits = |group: &&&GroupInfo| {
            !group.is_on(&to.uuid[..]) && self.nodes.sharing_zone(group, Some(from.uuid), &to.uuid) == 0
        };
        let rated = groups.iter().filter(fits).filter_map(|group| {
            let leader = self.observed.groups.get(&group.group)?.leader.as_ref()?;
            let rating = rate(bytes_of(group.group, self.observed))?;
            leader.is_settled().then_some((rating, leader.node == from.uuid, group.group))
        });
        rated.min().map(|(.., group)| group)
    }
}
