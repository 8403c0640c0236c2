//! A client of the meta group: registers nodes and reads the map. What was accepted never leaves the
//! map again, and the map's version never falls.

use std::time::Duration;

use bytes::Bytes;
use openraft::AsyncRuntime;
use prost::Message;
use rowhouse_node::meta;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{Bootstrap, MetaNode, MetaOutcome, RegisterNode};
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_proto::{COMMAND_VERSION, COMMAND_VERSION_MIN};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{ProposeError, ReadError};

use crate::nodes::{NodeUuid, Nodes};

pub const SHARD_COUNT: u32 = 16;
const BACKOFF: Duration = Duration::from_millis(80);

/// A node as it registers itself.
pub fn line(node_uuid: Bytes, address: String) -> MetaNode {
    MetaNode {
        node_uuid,
        address,
        name: String::new(),
        command_version_min: COMMAND_VERSION_MIN,
        command_version_max: COMMAND_VERSION,
        zone: String::new(),
    }
}

/// Answers the client got.
#[derive(Debug, Default)]
pub struct MetaClient {
    node: usize,
    registered: Vec<Bytes>,
    map_version: u64,
    next: u64,
}

impl MetaClient {
    /// The first entry of a cluster of these nodes.
    pub fn bootstrap(shard_count: u32, founders: &[NodeUuid]) -> Body {
        let founder =
            |(n, uuid): (usize, &NodeUuid)| line(Bytes::copy_from_slice(uuid), format!("founder-{n}:1"));
        Body::Bootstrap(Bootstrap {
            cluster_id: Bytes::from_static(&[7; 16]),
            shard_count,
            nodes: founders.iter().enumerate().map(founder).collect(),
            signup_mode: "open".to_owned(),
            homeserver: Bytes::from_static(&[9; 32]),
        })
    }

    /// One registration and one read; a lost leader costs a turn.
    pub async fn turn(&mut self, cluster: &impl Nodes, seed: u64) {
        self.next += 1;
        let uuid = Bytes::from(u128::from(self.next).to_be_bytes().to_vec());
        let node = line(uuid.clone(), format!("node-{}:1", self.next));
        let register = Body::RegisterNode(RegisterNode { node: Some(node), name_proven: false });
        if self.propose(cluster, register).await.is_some_and(|outcome| outcome.accepted) {
            self.registered.push(uuid);
        }
        if let Some(map) = self.read(cluster).await {
            self.check(&map, seed);
        }
        Simulation::sleep(Duration::from_millis(20 + Simulation::random_u64() % 200)).await;
    }

    /// Proposes once; nothing is known of a proposal without an outcome.
    pub async fn propose(&mut self, cluster: &impl Nodes, body: Body) -> Option<MetaOutcome> {
        let now_ms = cluster.clock(self.node).map_or(0, |clock| clock.physical_ms());
        let result = match cluster.group(self.node, meta::GROUP) {
            Some(group) => group.propose(meta::encode(COMMAND_VERSION, body, now_ms), Bytes::new()).await,
            None => Err(ProposeError::NotLeader { leader_node: None }),
        };
        match result {
            Ok(reply) => MetaOutcome::decode(reply).ok(),
            Err(ProposeError::NotLeader { leader_node }) => {
                self.turn_to(cluster, leader_node).await;
                None
            }
            Err(_) => {
                self.turn_to(cluster, None).await;
                None
            }
        }
    }

    async fn turn_to(&mut self, cluster: &impl Nodes, leader: Option<NodeUuid>) {
        self.node = cluster.node_of(leader).unwrap_or_else(|| (self.node + 1) % cluster.count());
        Simulation::sleep(BACKOFF).await;
    }

    /// A linearizable read of the map.
    pub async fn read(&mut self, cluster: &impl Nodes) -> Option<ClusterMap> {
        let group = cluster.group(self.node, meta::GROUP)?;
        match group.read_barrier().await {
            Ok(()) => {
                let map = group.read(|view| meta::cluster_map(view)).ok().flatten();
                map.filter(|_| cluster.runs(self.node, &group))
            }
            Err(ReadError::NotLeader { leader_node }) => {
                self.turn_to(cluster, leader_node).await;
                None
            }
            Err(ReadError::Unavailable(_)) => {
                self.turn_to(cluster, None).await;
                None
            }
        }
    }

    pub fn check(&mut self, map: &ClusterMap, seed: u64) {
        assert!(
            map.map_version >= self.map_version,
            "seed {seed}: the map fell from {} to {}",
            self.map_version,
            map.map_version
        );
        self.map_version = map.map_version;
        for uuid in &self.registered {
            let known = map.nodes.iter().any(|node| node.node_uuid == uuid);
            assert!(known, "seed {seed}: node {uuid:?} was accepted and is not in map {}", map.map_version);
        }
    }

    pub fn registered(&self) -> usize {
        self.registered.len()
    }
}
