//! Whether a leader may take in more data: not while too few of its voters have disk space
//! (docs/rules/storage.md#a-full-disk-is-met-early). Deletes, reads, logouts and elections go on.

use std::sync::Arc;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::meta::ClusterMap;

use crate::identity::NodeUuid;
use crate::local::Local;
use crate::peers::Cluster;

/// By this node's own mark, and by what the others last said of theirs.
#[derive(Clone)]
pub struct SpaceGate {
    pub local: Arc<Local>,
    pub cluster: Arc<Cluster>,
}

impl SpaceGate {
    /// Refuses with `DiskFull` while no quorum of the group's voters has space.
    pub fn check(&self, group: u32) -> Result<(), ErrorCode> {
        let Self { local, cluster } = self;
        let me = local.identity.node_uuid();
        let is_low = |node: &NodeUuid| {
            if *node == me { local.space.is_low() } else { cluster.peers.is_low(node) }
        };
        if quorum_has_space(&cluster.view.map(), group, is_low) { Ok(()) } else { Err(ErrorCode::DiskFull) }
    }
}

fn quorum_has_space(map: &ClusterMap, group: u32, is_low: impl Fn(&NodeUuid) -> bool) -> bool {
    let Some(info) = map.groups.iter().find(|info| info.group == group) else { return true };
    let low = info
        .replicas
        .iter()
        .filter(|replica| NodeUuid::try_from(&replica.node_uuid[..]).is_ok_and(|node| is_low(&node)))
        .count();
    let quorum = info.replicas.len() / 2 + 1;
    info.replicas.len() - low >= quorum
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{GroupInfo, ReplicaInfo};

    #[test]
    fn one_full_disk_of_three_is_borne_and_two_are_not() {
        let replicas =
            (1..=3u8).map(|n| ReplicaInfo { replica_id: n.into(), node_uuid: vec![n; 16].into() }).collect();
        let map = ClusterMap {
            groups: vec![GroupInfo { group: 4, epoch: 1, replicas, moving: None }],
            ..ClusterMap::default()
        };
        assert!(quorum_has_space(&map, 4, |_| false));
        assert!(quorum_has_space(&map, 4, |node| node[0] == 2));
        assert!(!quorum_has_space(&map, 4, |node| node[0] != 2));
        assert!(quorum_has_space(&map, 5, |_| true), "a group the map does not name is not judged");
    }
}
