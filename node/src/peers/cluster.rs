//! The cluster as this node knows it: the map, where the other nodes are, how they are, and the way to them.

use std::sync::Arc;

use rowhouse_peer::Dialer;
use rowhouse_raft::transport::{Directory, Peer};

use super::{Addresses, ClusterView, Peers, Pool};
use crate::Error;
use crate::config::NodeConfig;
use crate::identity::{ClusterId, Identity, NodeUuid};

/// One for each node. All of it is in memory only and is learned again after a start.
pub struct Cluster {
    /// Where each node is reached. Learned from the map, or before there is one from `cluster init`.
    pub addresses: Addresses,
    /// Channels for control calls to other nodes.
    pub pool: Pool,
    /// The last report of each other node about itself.
    pub peers: Peers,
    /// The map, and the command version in force.
    pub view: ClusterView,
    /// host:port of nodes to ask while no map tells of others.
    pub seeds: Vec<String>,
}

impl Cluster {
    /// Knows nobody yet but the seeds. Fails if the cluster has a command version in force, as far as this node
    /// ever heard, that `config` does not understand.
    pub fn new(config: &NodeConfig, heard: Option<u32>, dialer: Dialer) -> Result<Self, Error> {
        Ok(Self {
            view: ClusterView::new(config.command_versions, heard)?,
            addresses: Addresses::default(),
            pool: Pool::new(dialer),
            peers: Peers::default(),
            seeds: config.node.seeds.clone(),
        })
    }
}

/// Answers the transport's questions from memory.
pub struct NodeDirectory {
    pub identity: Arc<Identity>,
    pub cluster: Arc<Cluster>,
}

impl Directory for NodeDirectory {
    fn cluster_id(&self) -> Option<ClusterId> {
        self.identity.cluster_id()
    }

    fn peer(&self, node: NodeUuid) -> Option<Peer> {
        self.cluster.addresses.of(node)
    }
}
