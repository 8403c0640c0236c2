//! A node's side of `cluster init`: answers what it is, becomes what it is told, once.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::hex;
use rowhouse_proto::wire::meta::{CommitInitRequest, PrepareInitReply};
use rowhouse_raft::log_store::{ReplicaPhase, ReplicaRecord};
use rowhouse_raft::{GroupSpec, Machine, Replica};
use tokio::sync::Mutex;
use tracing::info;

use crate::identity::{ClusterId, NodeUuid};
use crate::local::Local;
use crate::meta;
use crate::peers::Cluster;
use crate::shards::start_group;
use crate::{Error, Group};

/// The meta group is small on purpose: three or five survive one or two losses.
const META_NODES_MAX: usize = 5;

/// One for each node.
pub struct InitServer {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    /// The meta group's.
    machine: Arc<dyn Machine>,
    /// One commit at a time.
    committing: Mutex<()>,
}

impl InitServer {
    /// `machine` is the meta group's.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>, machine: Arc<dyn Machine>) -> Self {
        Self { local, cluster, machine, committing: Mutex::new(()) }
    }

    /// Tells this node's line for the map, and what an earlier `cluster init` told it. Fails on a folder that holds
    /// replicas and no cluster id.
    pub fn prepare(&self) -> Result<PrepareInitReply, Error> {
        let cluster_id = self.local.identity.cluster_id();
        if cluster_id.is_none() && !self.local.engine.replicas()?.is_empty() {
            return Err(Error::Init("the data folder holds replicas but no cluster id".to_owned()));
        }
        Ok(PrepareInitReply {
            node_uuid: self.local.me.node_uuid.clone(),
            cluster_id: cluster_id.map(|id| id.to_vec().into()).unwrap_or_default(),
            address: self.local.me.address.clone(),
            name: self.local.me.name.clone(),
            pending: self.local.identity.init().map(|init| CommitInitRequest::clone(&init)),
            command_version_min: self.local.me.command_version_min,
            command_version_max: self.local.me.command_version_max,
            zone: self.local.me.zone.clone(),
        })
    }

    /// Becomes one of the first nodes. Repeating the same request is harmless.
    pub async fn commit(&self, request: CommitInitRequest) -> Result<(), Error> {
        let _one_at_a_time = self.committing.lock().await;
        let start = request.start;
        let init = CommitInitRequest {
            start: false,
            homeserver: self.local.identity.homeserver().to_vec().into(),
            ..request
        };
        let (cluster_id, ids) = self.check(&init)?;
        match (self.local.identity.cluster_id(), self.local.identity.init()) {
            (None, _) => {
                let (identity, init) = (Arc::clone(&self.local.identity), init.clone());
                tokio::task::spawn_blocking(move || identity.join(cluster_id, ids, Some(init)))
                    .await
                    .map_err(|_| Error::Stopped)??;
                info!(cluster = hex(&cluster_id), "became one of the first nodes");
            }
            (Some(ours), Some(known)) if ours == cluster_id && *known == init => {}
            (Some(ours), _) => {
                return Err(Error::Init(format!("this node is of cluster {} already", hex(&ours))));
            }
        }
        let group = self.start_meta().await?;
        if let Some(group) = group.filter(|_| start) {
            group.initialize(members(&init)).await?;
        }
        Ok(())
    }

    /// Starts this node's replica of the meta group, if it is among the first nodes.
    pub async fn start_meta(&self) -> Result<Option<Arc<Group>>, Error> {
        let (Some(init), Some(replica)) = (self.local.identity.init(), self.local.identity.meta_replica())
        else {
            return Ok(None);
        };
        self.cluster.addresses.learn(&init.nodes);
        // Its group may have removed it since.
        let record = ReplicaRecord::read(self.local.engine.as_ref(), replica)?;
        if record.is_some_and(|record| record.phase == ReplicaPhase::Tombstone) {
            return Ok(None);
        }
        let spec = GroupSpec { group: meta::GROUP, replica, machine: Arc::clone(&self.machine) };
        Ok(Some(start_group(Arc::clone(&self.local.host), spec).await?))
    }

    fn check(&self, init: &CommitInitRequest) -> Result<(ClusterId, EventIds), Error> {
        let refuse = |why: &str| Err(Error::Init(why.to_owned()));
        let Ok(cluster_id) = ClusterId::try_from(&init.cluster_id[..]) else {
            return refuse("malformed cluster id");
        };
        if init.nodes.is_empty() || init.nodes.len() > META_NODES_MAX {
            return refuse("a cluster begins with 1 to 5 nodes");
        }
        if !init.nodes.iter().any(|node| node.node_uuid == self.local.me.node_uuid) {
            return refuse("this node is not among the first ones named");
        }
        let Some(ids) = EventIds::new(init.shard_count) else {
            return refuse("the number of shards must be a power of two up to 4096");
        };
        // Before anything is kept: the first entry would be refused for ever.
        let version = meta::first_command_version(&init.nodes).unwrap_or_default();
        match meta::check_signup_mode(&init.settings.clone().unwrap_or_default().signup_mode, version) {
            Err(why) => refuse(why),
            Ok(()) => Ok((cluster_id, ids)),
        }
    }
}

/// The meta group's first voters: replica ids 1 to N in the order of the nodes.
fn members(init: &CommitInitRequest) -> BTreeMap<u64, Replica> {
    let uuids = init.nodes.iter().filter_map(|node| NodeUuid::try_from(&node.node_uuid[..]).ok());
    (1..).zip(uuids.map(|node_uuid| Replica { node_uuid })).collect()
}
