//! Clusters that tests make up: three or four nodes that all hold the meta group, or do not answer.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{
    ClusterMap, Follower, GroupInfo, GroupStatus, Members, NodeInfo, NodeLife, NodeStatusReply, ReplicaInfo,
};

use super::build::{Report, report};
use super::view::{Answer, View};

pub const NOW_MS: u64 = 1_000_000_000;
pub const DEAD_AFTER_S: u64 = 600;
pub const LAST_LOG: u64 = 5_000;

pub fn uuid(n: u8) -> Vec<u8> {
    vec![n; 16]
}

pub fn info(n: u8) -> NodeInfo {
    NodeInfo {
        node_uuid: uuid(n).into(),
        address: format!("127.0.0.1:{n}"),
        name: format!("n{n}"),
        ..NodeInfo::default()
    }
}

/// The replica of node n has the id 10 + n.
pub fn replica(n: u8) -> ReplicaInfo {
    ReplicaInfo { replica_id: u64::from(n) + 10, node_uuid: uuid(n).into() }
}

/// `nodes` nodes; the meta group is on the first three.
pub fn map(nodes: u8) -> ClusterMap {
    ClusterMap {
        cluster_id: vec![9; 16].into(),
        packet: vec![1].into(),
        nodes: (1..=nodes).map(info).collect(),
        groups: vec![GroupInfo {
            group: META_GROUP,
            epoch: 3,
            replicas: (1..=nodes.min(3)).map(replica).collect(),
            moving: None,
        }],
        ..ClusterMap::default()
    }
}

pub fn life(map: &mut ClusterMap, n: u8, life: NodeLife) {
    map.nodes[usize::from(n) - 1].life = Some(life);
}

pub fn away(seconds: u64) -> NodeLife {
    NodeLife { away_since_ms: NOW_MS - seconds * 1000, ..NodeLife::default() }
}

pub fn status(n: u8, role: &str) -> GroupStatus {
    let followers = (1..=4).map(|n| Follower { replica_id: n + 10, matched: LAST_LOG, answered: true });
    GroupStatus {
        group: META_GROUP,
        replica_id: u64::from(n) + 10,
        role: role.into(),
        term: 8,
        lag: 4,
        applied: LAST_LOG,
        last_log: LAST_LOG,
        members: Some(Members { voters: vec![11, 12, 13], ..Members::default() }),
        followers: followers.collect(),
        ..GroupStatus::default()
    }
}

pub fn reply(n: u8, status: GroupStatus) -> NodeStatusReply {
    NodeStatusReply {
        node_uuid: uuid(n).into(),
        name: format!("n{n}"),
        groups: vec![status],
        packet_age_s: 40 + u64::from(n),
        packet_published_s: u64::MAX,
        pid: 77,
        dead_after_s: DEAD_AFTER_S,
        ..NodeStatusReply::default()
    }
}

pub fn up(n: u8) -> Answer {
    Ok(reply(n, status(n, if n == 1 { "leader" } else { "follower" })))
}

pub fn dead() -> Answer {
    Err("node 127.0.0.1:2: no connection".into())
}

pub fn judged(map: ClusterMap, answers: Vec<Answer>) -> Report {
    report(&View::new(map, answers, NOW_MS))
}
