//! Pure: the map and what runs here give the steps that bring the two together.

use std::collections::{BTreeMap, BTreeSet};

use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_raft::{GroupId, Replica, ReplicaId};

use crate::identity::NodeUuid;

/// The replica that the map wants on this node for one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub replica: ReplicaId,
    /// Set for the one replica that brings a new group to life: the lowest id of its first epoch.
    /// Repeating it with the same members is harmless.
    pub initialize: Option<BTreeMap<ReplicaId, Replica>>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Start {
        group: GroupId,
        replica: ReplicaId,
    },
    /// The group has removed it: it ends for good, and what it held goes.
    Destroy {
        group: GroupId,
        replica: ReplicaId,
    },
}

/// The replicas the map places on `me`, those that are on their way in too.
pub fn desired(map: &ClusterMap, me: &NodeUuid) -> BTreeMap<GroupId, Desired> {
    let mut wanted = BTreeMap::new();
    for info in &map.groups {
        let Ok(group) = GroupId::try_from(info.group) else { continue };
        let Some(mine) = info.places().find(|replica| replica.node_uuid == me[..]) else { continue };
        let members: BTreeMap<ReplicaId, Replica> = info
            .replicas
            .iter()
            .filter_map(|replica| {
                let node_uuid = NodeUuid::try_from(&replica.node_uuid[..]).ok()?;
                Some((replica.replica_id, Replica { node_uuid }))
            })
            .collect();
        let lowest = members.first_key_value().is_some_and(|(lowest, _)| *lowest == mine.replica_id);
        let begins = lowest && info.epoch == 1 && group != crate::meta::GROUP;
        wanted.insert(group, Desired { replica: mine.replica_id, initialize: begins.then_some(members) });
    }
    wanted
}

/// `held` are the replicas that live on this node, `running` those of them that run. A replica is destroyed before
/// another of its group starts.
///
/// The map decides only about replicas it can know: after a crash this node's map may be older than its replicas. An id
/// below the map's counter was handed out before, so that a map that does not name it has seen it go.
pub fn plan(
    map: &ClusterMap,
    wanted: &BTreeMap<GroupId, Desired>,
    held: &BTreeMap<ReplicaId, GroupId>,
    running: &BTreeMap<GroupId, ReplicaId>,
) -> Vec<Step> {
    let named: BTreeSet<u32> = map.groups.iter().map(|info| info.group).collect();
    let is_wanted =
        |group: &GroupId, replica: &ReplicaId| wanted.get(group).is_some_and(|it| it.replica == *replica);
    let destroys: Vec<Step> = held
        .iter()
        .filter(|(replica, group)| {
            let known = **replica < map.next_replica_id && named.contains(&u32::from(**group));
            known && !is_wanted(group, replica)
        })
        .map(|(replica, group)| Step::Destroy { group: *group, replica: *replica })
        .collect();
    let is_taken =
        |group: &GroupId, replica: &ReplicaId| held.iter().any(|(other, of)| of == group && other != replica);
    let starts = wanted
        .iter()
        .filter(|(group, desired)| !running.contains_key(group) && !is_taken(group, &desired.replica))
        .map(|(group, desired)| Step::Start { group: *group, replica: desired.replica });
    destroys.into_iter().chain(starts).collect()
}

/// The groups to initialize, of the replicas that run here without log or vote. Not a part of their start:
/// the process may have ended in between, and then they run as replicas that were known already.
pub fn births<'a>(
    wanted: &'a BTreeMap<GroupId, Desired>,
    empty: &BTreeMap<GroupId, ReplicaId>,
) -> Vec<(GroupId, &'a BTreeMap<ReplicaId, Replica>)> {
    wanted
        .iter()
        .filter(|(group, desired)| empty.get(group) == Some(&desired.replica))
        .filter_map(|(group, desired)| Some((*group, desired.initialize.as_ref()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::META_GROUP;
    use rowhouse_proto::wire::meta::{GroupInfo, ReplicaInfo, ReplicaMove};

    const ME: NodeUuid = [2; 16];

    fn group(group: u32, epoch: u64, replicas: &[(u64, u8)]) -> GroupInfo {
        let replicas = replicas
            .iter()
            .map(|(replica_id, node)| ReplicaInfo {
                replica_id: *replica_id,
                node_uuid: vec![*node; 16].into(),
            })
            .collect();
        GroupInfo { group, epoch, replicas, moving: None }
    }

    fn map(groups: Vec<GroupInfo>) -> ClusterMap {
        ClusterMap { map_version: 1, groups, next_replica_id: 100, ..ClusterMap::default() }
    }

    fn steps(map: &ClusterMap, running: &[(GroupId, ReplicaId)]) -> Vec<Step> {
        let held = running.iter().map(|(group, replica)| (*replica, *group)).collect();
        plan(map, &desired(map, &ME), &held, &running.iter().copied().collect())
    }

    fn start_of(steps: &[Step], wanted: GroupId) -> Option<ReplicaId> {
        steps.iter().find_map(|step| match step {
            Step::Start { group, replica } if *group == wanted => Some(*replica),
            _ => None,
        })
    }

    #[test]
    fn only_what_the_map_places_here_is_started() {
        let map = map(vec![group(0, 1, &[(4, 1), (5, 2)]), group(1, 1, &[(6, 1), (7, 3)])]);
        let steps = steps(&map, &[]);
        assert_eq!(steps.len(), 1);
        assert_eq!(start_of(&steps, 0), Some(5));
    }

    #[test]
    fn the_lowest_replica_of_the_first_epoch_brings_a_group_to_life() {
        let cases: [(GroupInfo, Option<usize>); 4] = [
            (group(0, 1, &[(5, 2), (6, 1), (7, 3)]), Some(3)),
            (group(0, 1, &[(4, 1), (5, 2)]), None),
            (group(0, 2, &[(5, 2), (6, 1)]), None),
            (group(META_GROUP, 1, &[(1, 2), (2, 1)]), None),
        ];
        for (info, members) in cases {
            let number = GroupId::try_from(info.group).expect("16 bits");
            let wanted = desired(&map(vec![info.clone()]), &ME);
            let empty = BTreeMap::from([(number, wanted[&number].replica)]);
            let born = births(&wanted, &empty);
            assert_eq!(born.first().map(|(_, members)| members.len()), members, "{info:?}");
        }
    }

    #[test]
    fn a_replica_without_log_or_vote_is_initialized_whenever_it_was_started() {
        let map = map(vec![group(0, 1, &[(5, 2)]), group(1, 1, &[(6, 2)]), group(2, 1, &[(7, 2)])]);
        let running = [(0, 5), (1, 6), (2, 3)];
        assert_eq!(steps(&map, &running[..2]).len(), 1, "those that run are not started again");
        let wanted = desired(&map, &ME);
        let born = |empty: &[(GroupId, ReplicaId)]| -> Vec<GroupId> {
            births(&wanted, &empty.iter().copied().collect()).into_iter().map(|(group, _)| group).collect()
        };
        assert_eq!(born(&running), [0, 1], "another replica of a group is not the one placed");
        assert_eq!(born(&running[1..]), [1]);
    }

    #[test]
    fn what_runs_as_wanted_is_left_alone() {
        let map = map(vec![group(0, 1, &[(5, 2)]), group(META_GROUP, 1, &[(2, 2)])]);
        assert_eq!(steps(&map, &[(0, 5), (crate::meta::GROUP, 2)]), Vec::new());
    }

    #[test]
    fn a_replica_that_moved_away_or_was_replaced_is_destroyed_first() {
        let map = map(vec![group(0, 3, &[(9, 2)]), group(1, 1, &[(6, 1)])]);
        let first = steps(&map, &[(0, 5), (1, 3)]);
        let gone = [Step::Destroy { group: 1, replica: 3 }, Step::Destroy { group: 0, replica: 5 }];
        assert_eq!(first, gone);
        let next = steps(&map, &[]);
        assert_eq!(start_of(&next, 0), Some(9));
        let held = BTreeMap::from([(5, 0)]);
        let broken = plan(&map, &desired(&map, &ME), &held, &BTreeMap::new());
        assert_eq!(broken, [Step::Destroy { group: 0, replica: 5 }], "also one that does not run");
    }

    #[test]
    fn a_replica_on_its_way_in_runs_and_initializes_nothing() {
        let add = ReplicaInfo { replica_id: 7, node_uuid: ME.to_vec().into() };
        let moving = ReplicaMove { add: Some(add), remove: 5, ..ReplicaMove::default() };
        let map = map(vec![GroupInfo { moving: Some(moving), ..group(0, 1, &[(5, 1), (6, 3)]) }]);
        assert_eq!(steps(&map, &[]), [Step::Start { group: 0, replica: 7 }]);
        assert!(births(&desired(&map, &ME), &[(0, 7)].into()).is_empty());
    }

    #[test]
    fn a_map_older_than_the_replicas_destroys_nothing() {
        let before_move = ClusterMap { next_replica_id: 7, ..map(vec![group(0, 3, &[(4, 1)])]) };
        assert_eq!(steps(&before_move, &[(0, 7)]), []);
        assert_eq!(steps(&before_move, &[(0, 6)]).len(), 1);
        let before_placement = map(vec![group(META_GROUP, 1, &[(2, 2)])]);
        assert_eq!(steps(&before_placement, &[(crate::meta::GROUP, 2), (0, 5), (1, 8)]), Vec::new());
        assert_eq!(steps(&ClusterMap::default(), &[(0, 5)]), Vec::new());
    }
}
