//! What the cluster's map says and what its nodes hold, seen at one moment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, GroupStatus, NodeLife, NodeStatusReply};

use super::faults::{LAG_ENTRIES_MAX, LEADER, statuses};
use crate::cluster::Cluster;
use crate::error::Error;

/// Replicas of a group where there are nodes enough.
const REPLICAS: usize = 3;
/// Moves are bounded by bytes a second, and each begins in a round of the coordinator.
const WHOLE_TIMEOUT: Duration = Duration::from_secs(300);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Several rounds of the coordinator.
const REST: Duration = Duration::from_secs(4);

/// The newest map that a living node has, and the reports of the nodes that answer, by name.
pub struct Sight {
    pub map: ClusterMap,
    pub statuses: BTreeMap<String, NodeStatusReply>,
    living: usize,
}

impl Sight {
    /// Looks once; `scan` as in `NodeClient::status`. Fails if no node has a map.
    pub async fn of(cluster: &Cluster, scan: bool) -> Result<Self, Error> {
        let statuses = statuses(cluster, scan).await?;
        let map = newest_map(cluster).await?;
        Ok(Self { map, statuses, living: cluster.living()?.len() })
    }

    /// The uuid of a node that answers.
    pub fn uuid(&self, node: &str) -> Option<Vec<u8>> {
        Some(self.statuses.get(node)?.node_uuid.to_vec())
    }

    /// Whether the map knows a node of this uuid.
    pub fn has_node(&self, node_uuid: &[u8]) -> bool {
        self.map.nodes.iter().any(|info| info.node_uuid == node_uuid)
    }

    /// Shards with a replica on the node, by the map; what moves is on both.
    pub fn shards_on(&self, node_uuid: &[u8]) -> BTreeSet<u32> {
        let shards = self.map.groups.iter().filter(|info| info.group != META_GROUP);
        shards.filter(|info| info.is_on(node_uuid)).map(|info| info.group).collect()
    }

    /// Why the cluster could not bear the loss of a node now; `None` if it could.
    ///
    /// It could if nothing moves, and each group has all its replicas on living nodes, with all of the log and all
    /// large bodies. Nobody holds anything else.
    pub fn lacks(&self) -> Option<String> {
        if self.statuses.len() != self.living {
            return Some(format!("{} of {} nodes answer", self.statuses.len(), self.living));
        }
        if self.map.nodes.len() != self.living {
            return Some(format!("the map has {} nodes for {}", self.map.nodes.len(), self.living));
        }
        let absent = self.map.nodes.iter().find(|info| {
            let answers = self.statuses.values().any(|status| status.node_uuid == info.node_uuid);
            !answers || info.life.is_some_and(|life| life != NodeLife::default())
        });
        if let Some(info) = absent {
            return Some(format!("{} does not answer as the map has it: {:?}", info.name, info.life));
        }
        let stray = self.stray();
        stray.or_else(|| self.map.groups.iter().find_map(|info| self.group_lacks(info)))
    }

    /// A replica that runs and that the map does not know.
    fn stray(&self) -> Option<String> {
        self.statuses.iter().find_map(|(name, status)| {
            let known = |group: &GroupStatus| {
                let info = self.map.groups.iter().find(|info| info.group == group.group);
                info.is_some_and(|info| info.places().any(|it| it.replica_id == group.replica_id))
            };
            let stray = status.groups.iter().find(|group| !known(group))?;
            Some(format!("{name} runs replica {} of group {}", stray.replica_id, stray.group))
        })
    }

    fn group_lacks(&self, info: &GroupInfo) -> Option<String> {
        let group = info.group;
        if let Some(moving) = &info.moving {
            return Some(format!("group {group} moves: {}", moving.reason));
        }
        if info.replicas.len() < REPLICAS.min(self.living) {
            return Some(format!("group {group} has {} replicas", info.replicas.len()));
        }
        let replicas = self.replicas(info);
        let Some(leader) = replicas.iter().filter(|it| it.role == LEADER).max_by_key(|it| it.term) else {
            return Some(format!("group {group} has no leader"));
        };
        let mapped: BTreeSet<u64> = info.replicas.iter().map(|it| it.replica_id).collect();
        let members = leader.members.clone().unwrap_or_default();
        let voters: BTreeSet<u64> = members.voters.iter().copied().collect();
        if members.joint || !members.learners.is_empty() || voters != mapped {
            return Some(format!("the voters of group {group} are not those of the map"));
        }
        let incomplete = |it: &&&GroupStatus| {
            let serves = it.problem.is_empty() && matches!(it.role.as_str(), LEADER | "follower");
            let behind = leader.committed > it.applied + LAG_ENTRIES_MAX;
            !serves || behind || it.objects_missing + it.objects_damaged > 0
        };
        if replicas.len() != info.replicas.len() {
            return Some(format!("{} replicas of group {group} run", replicas.len()));
        }
        replicas.iter().find(incomplete).map(|it| {
            format!(
                "replica {} of group {group}: {} {}, {} bodies missing, {} damaged, applied {} of {}",
                it.replica_id,
                it.role,
                it.problem,
                it.objects_missing,
                it.objects_damaged,
                it.applied,
                leader.committed
            )
        })
    }

    /// What the group's replicas say on the nodes where the map has them.
    pub fn replicas(&self, info: &GroupInfo) -> Vec<&GroupStatus> {
        let mut found = Vec::new();
        for replica in &info.replicas {
            let there = self.statuses.values().filter(|status| status.node_uuid == replica.node_uuid);
            let mut groups = there.flat_map(|status| &status.groups);
            found.extend(groups.find(|it| it.group == info.group && it.replica_id == replica.replica_id));
        }
        found
    }
}

/// The map with the highest version among those of the living nodes.
pub async fn newest_map(cluster: &Cluster) -> Result<ClusterMap, Error> {
    let mut newest: Option<ClusterMap> = None;
    for node in cluster.nodes()? {
        if let Ok(map) = node.map().await
            && newest.as_ref().is_none_or(|known| known.map_version < map.map_version)
        {
            newest = Some(map);
        }
    }
    newest.ok_or_else(|| Error::Cluster("no node has a map".into()))
}

/// Looks until `lacks` finds nothing wrong, and tells what it found last if that does not come in time.
pub async fn wait_for(
    cluster: &Cluster,
    what: &str,
    lacks: impl Fn(&Sight) -> Option<String>,
) -> Result<(), Error> {
    let deadline = Instant::now() + WHOLE_TIMEOUT;
    loop {
        let lacking = match Sight::of(cluster, false).await {
            Ok(sight) => lacks(&sight),
            Err(error) => Some(error.to_string()),
        };
        let Some(lacking) = lacking else { return Ok(()) };
        if Instant::now() >= deadline {
            return Err(Error::Timeout(WHOLE_TIMEOUT, format!("{what}: {lacking}")));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Waits until the cluster could bear the loss of any node.
pub async fn whole(cluster: &Cluster) -> Result<(), Error> {
    wait_for(cluster, "the cluster to be whole", Sight::lacks).await
}

/// Waits until the cluster is whole and begins no further move: it may go on to spread replicas when one is made.
pub async fn at_rest(cluster: &Cluster) -> Result<(), Error> {
    let deadline = Instant::now() + WHOLE_TIMEOUT;
    while Instant::now() < deadline {
        whole(cluster).await?;
        let before = newest_map(cluster).await?;
        tokio::time::sleep(REST).await;
        let sight = Sight::of(cluster, false).await?;
        if sight.map.groups == before.groups && sight.lacks().is_none() {
            return Ok(());
        }
    }
    Err(Error::Timeout(WHOLE_TIMEOUT, "replicas to rest".into()))
}

#[cfg(test)]
mod tests {
    use rowhouse_proto::wire::meta::{Members, NodeInfo, ReplicaInfo, ReplicaMove};

    use super::*;

    fn replica(number: u8) -> ReplicaInfo {
        ReplicaInfo { replica_id: u64::from(number), node_uuid: vec![number; 16].into() }
    }

    fn node(number: u8) -> NodeStatusReply {
        let members = Members { voters: vec![1, 2, 3], ..Members::default() };
        let role = if number == 1 { LEADER } else { "follower" };
        let group = GroupStatus {
            replica_id: number.into(),
            role: role.into(),
            members: Some(members),
            ..GroupStatus::default()
        };
        NodeStatusReply {
            node_uuid: vec![number; 16].into(),
            groups: vec![group],
            ..NodeStatusReply::default()
        }
    }

    /// One group on three nodes.
    fn sight() -> Sight {
        let nodes =
            [1, 2, 3].map(|number| NodeInfo { node_uuid: vec![number; 16].into(), ..NodeInfo::default() });
        let group = GroupInfo { replicas: vec![replica(1), replica(2), replica(3)], ..GroupInfo::default() };
        let map = ClusterMap { nodes: nodes.to_vec(), groups: vec![group], ..ClusterMap::default() };
        let statuses = [1, 2, 3].map(|number| (format!("node-{number}"), node(number)));
        Sight { map, statuses: statuses.into(), living: 3 }
    }

    fn lacks(spoil: impl FnOnce(&mut Sight)) -> bool {
        let mut sight = sight();
        spoil(&mut sight);
        sight.lacks().is_some()
    }

    fn group_on(sight: &mut Sight, node: u8) -> &mut GroupStatus {
        let status = sight.statuses.get_mut(&format!("node-{node}")).expect("a node");
        &mut status.groups[0]
    }

    #[test]
    fn a_cluster_is_whole_with_all_replicas_complete_where_the_map_has_them() {
        assert_eq!(sight().lacks(), None);
        assert!(lacks(|it| drop(it.statuses.pop_last())), "a node is silent");
        assert!(lacks(|it| it.living = 4), "a node is not on the map");
        assert!(lacks(|it| it.map.nodes[0].life = Some(NodeLife { leaving: true, ..NodeLife::default() })));
        assert!(lacks(|it| it.map.groups[0].moving = Some(ReplicaMove::default())));
        assert!(lacks(|it| drop(it.map.groups[0].replicas.pop())), "it has too few replicas");
        assert!(lacks(|it| group_on(it, 2).objects_missing = 1));
        assert!(lacks(|it| group_on(it, 2).objects_damaged = 1));
        assert!(lacks(|it| group_on(it, 2).replica_id = 9), "the map does not know this one");
        assert!(lacks(|it| group_on(it, 3).role = "learner".into()));
        assert!(lacks(|it| group_on(it, 3).problem = "broken".into()));
        assert!(lacks(|it| group_on(it, 1).role = "follower".into()), "nobody leads");
        assert!(lacks(|it| group_on(it, 1).committed = LAG_ENTRIES_MAX + 1), "they are far behind");
        assert!(lacks(|it| group_on(it, 1).members = None));
    }
}
