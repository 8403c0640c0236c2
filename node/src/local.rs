//! This node alone: what its actors and services share that does not depend on other nodes.

use std::net::SocketAddr;
use std::sync::Arc;

use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_raft::log_store::LogEngine;
use rowhouse_raft::{GroupId, Host};

use crate::clock::Clock;
use crate::config::NodeConfig;
use crate::drain::Drain;
use crate::identity::{Identity, NodeUuid};
use crate::shards::Problems;
use crate::space::Space;
use crate::{Group, Runtime, meta};

/// One for each node; never replaced while it runs.
pub struct Local {
    /// This node's own line in the cluster map.
    pub me: NodeInfo,
    pub identity: Arc<Identity>,
    /// The synced log: of all replicas here, and of the node's own records.
    pub engine: Arc<dyn LogEngine>,
    pub clock: Arc<Clock>,
    pub space: Arc<Space>,
    /// The running replicas.
    pub host: Arc<Host<Runtime>>,
    pub drain: Drain,
    /// Why replicas do not run; written by the shard supervisor.
    pub problems: Problems,
}

impl Local {
    /// Whether the disk of the log does not answer.
    pub fn log_hangs(&self) -> bool {
        self.engine.progress().hangs()
    }

    /// The replica of a shard that runs here. The meta group is no shard, whatever number a request names.
    pub fn shard(&self, group: u32) -> Option<Arc<Group>> {
        let group = GroupId::try_from(group).ok().filter(|group| *group != meta::GROUP)?;
        self.host.group(group)
    }
}

/// The line that the map shall have for this node. A configured port 0 becomes the bound one.
pub fn own_line(config: &NodeConfig, bound: SocketAddr, node_uuid: NodeUuid) -> NodeInfo {
    NodeInfo {
        node_uuid: node_uuid.to_vec().into(),
        address: advertised(&config.advertise(), bound),
        name: config.name(),
        command_version_min: config.command_versions.min,
        command_version_max: config.command_versions.max,
        zone: config.node.zone.clone().unwrap_or_default(),
        life: None,
    }
}

fn advertised(configured: &str, bound: SocketAddr) -> String {
    match configured.rsplit_once(':') {
        Some((host, "0")) => format!("{host}:{}", bound.port()),
        _ => configured.to_owned(),
    }
}
