//! The actor that coordinates while this node leads the meta group. It compares the wanted state with the observed
//! one and takes one step at a time.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{Bootstrap, PlaceShards, RaiseCommandVersion};
use rowhouse_proto::wire::meta::{ClusterMap, NodeStatusReply, NodeStatusRequest, TransferLeaderRequest};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::author::Author;
use super::balance::next_transfer;
use super::placement::place;
use super::presence::Presence;
use super::propose::{propose, propose_under};
use crate::local::Local;
use crate::meta;
use crate::peers::{Cluster, call};
use crate::{Error, Group};

/// Between rounds; every decision may wait this long.
const ROUND: Duration = Duration::from_secs(1);
/// How soon a new leadership of the meta group is noticed if its signal was missed.
const NOTICE: Duration = Duration::from_millis(200);
/// At most four transfers a second (docs/rules/consensus.md#leaders-move-slowly).
const TRANSFER_EVERY: Duration = Duration::from_millis(250);
/// A node that just came back gets this long to catch up before leaders are moved to it.
const BALANCE_AFTER: Duration = Duration::from_secs(5);

/// The actor that decides for the cluster while this node leads the meta group.
pub struct Coordinator {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    /// When each gateway was last heard of here.
    pub presence: Presence,
    pub author: Author,
    gateway_silence_max: Duration,
}

impl Coordinator {
    /// A gateway that is silent for `gateway_silence_max` leaves the packet.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        author: Author,
        gateway_silence_max: Duration,
    ) -> Self {
        Self { local, cluster, presence: Presence::default(), author, gateway_silence_max }
    }

    /// Runs until stopped.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        loop {
            let Some(group) = self.local.host.group(meta::GROUP) else {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = sleep(NOTICE) => continue,
                }
            };
            if !group.is_leader() {
                tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    () = group.leadership_changed() => {}
                    () = sleep(NOTICE) => {}
                }
                continue;
            }
            let term = group.status().term;
            info!(term, "coordinating");
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = deposed(&group) => info!(term, "no longer coordinating"),
                result = self.reconcile(&group) => result?,
                result = self.author.run(&group) => result?,
            }
        }
    }

    async fn reconcile(&self, group: &Group) -> Result<(), Error> {
        let led_since = Instant::now();
        loop {
            let mut pause = ROUND;
            // Proves that this node still leads and that its own first entry is applied.
            if group.read_barrier().await.is_ok() {
                match self.step(group, led_since).await {
                    Ok(transferred) if transferred => pause = TRANSFER_EVERY,
                    Ok(_) => {}
                    Err(error) => warn!(%error, "coordination step failed"),
                }
            }
            sleep(pause).await;
        }
    }

    /// The next step the map and the nodes' reports call for; whether leadership was moved.
    async fn step(&self, group: &Group, led_since: Instant) -> Result<bool, Error> {
        let Some(map) = group.read(|view| meta::cluster_map(view))? else {
            self.bootstrap(group).await?;
            return Ok(false);
        };
        if map.groups.iter().all(|info| info.group == META_GROUP) {
            let placements = place(&map.nodes, map.shard_count);
            info!(shards = map.shard_count, nodes = map.nodes.len(), "placing shards");
            propose(group, &self.local.clock, Body::PlaceShards(PlaceShards { placements })).await?;
            return Ok(false);
        }
        if let Some(to) = meta::raisable(&map) {
            info!(from = map.command_version, to, "every node understands it: raising the command version");
            propose(group, &self.local.clock, Body::RaiseCommandVersion(RaiseCommandVersion { to })).await?;
            return Ok(false);
        }
        self.let_go(group, &map, led_since).await?;
        if led_since.elapsed() < BALANCE_AFTER {
            return Ok(false);
        }
        self.balance(group, &map).await
    }

    async fn bootstrap(&self, group: &Group) -> Result<(), Error> {
        let Some(init) = self.local.identity.init() else { return Ok(()) };
        info!("writing the cluster's first entry");
        let nodes = init.nodes.iter().cloned().map(meta::to_command).collect();
        let command = Bootstrap {
            cluster_id: init.cluster_id.clone(),
            shard_count: init.shard_count,
            nodes,
            signup_mode: init.settings.clone().unwrap_or_default().signup_mode,
            homeserver: self.local.identity.homeserver().to_vec().into(),
        };
        let version = meta::first_command_version(&init.nodes)
            .ok_or_else(|| Error::Init("the first nodes share no command version".to_owned()))?;
        propose_under(version, group, &self.local.clock, Body::Bootstrap(command)).await
    }

    /// A gateway that is gone cannot withdraw itself.
    async fn let_go(&self, group: &Group, map: &ClusterMap, led_since: Instant) -> Result<(), Error> {
        for gateway in self.presence.silent(&map.gateways, led_since, self.gateway_silence_max) {
            warn!(gateway = gateway.public_ip, "a gateway fell silent; its address leaves the packet");
            propose(group, &self.local.clock, meta::withdraw(gateway)).await?;
        }
        Ok(())
    }

    async fn balance(&self, group: &Group, map: &ClusterMap) -> Result<bool, Error> {
        let statuses = self.statuses(map).await;
        let Some(transfer) = next_transfer(&statuses) else { return Ok(false) };
        info!(group = transfer.group, to = transfer.to_replica, "evening out leaders");
        let mut client = self.cluster.pool.meta(&transfer.at, Some(&transfer.name))?;
        let request = TransferLeaderRequest {
            version: WIRE_VERSION,
            cluster_id: map.cluster_id.clone(),
            coordinator_term: group.status().term,
            group: transfer.group,
            to_replica: transfer.to_replica,
        };
        let reply = call(&transfer.at, client.transfer_leader(request)).await?;
        Ok(reply.refused.is_empty())
    }

    /// Those of the nodes that answer.
    async fn statuses(&self, map: &ClusterMap) -> Vec<NodeStatusReply> {
        let asked = map.nodes.iter().map(|node| async {
            let mut client = self.cluster.pool.meta(&node.address, Some(&node.name)).ok()?;
            let request = NodeStatusRequest { version: WIRE_VERSION, ..NodeStatusRequest::default() };
            call(&node.address, client.node_status(request)).await.ok()
        });
        join_all(asked).await.into_iter().flatten().collect()
    }
}

/// Returns when the group is no longer led from here.
async fn deposed(group: &Group) {
    while group.is_leader() {
        tokio::select! {
            () = group.leadership_changed() => {}
            () = sleep(NOTICE) => {}
        }
    }
}
