//! The actor that coordinates while this node leads the meta group. It compares the wanted state with the observed
//! one and takes one step at a time.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{Bootstrap, PlaceShards, RaiseCommandVersion};
use rowhouse_proto::wire::meta::{ClusterMap, NodeStatusReply, NodeStatusRequest};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::author::Author;
use super::balance::{Transfer, next_transfer};
use super::carry_out::Hands;
use super::presence::Presence;
use super::propose::{propose, propose_under};
use super::reach;
use crate::identity::NodeUuid;
use crate::local::Local;
use crate::meta;
use crate::peers::{Cluster, call};
use crate::placement::{Bounds, Observed, Step, marks, place, plan};
use crate::settings::PlacementConfig;
use crate::{Error, Group};

/// Between rounds; every decision may wait this long.
const ROUND: Duration = Duration::from_secs(1);
/// The same while replicas move: a move takes half a dozen rounds.
const MOVING_ROUND: Duration = Duration::from_millis(250);
/// How soon a new leadership of the meta group is noticed if its signal was missed.
const NOTICE: Duration = Duration::from_millis(200);
/// At most four transfers a second (docs/rules/consensus.md#leaders-move-slowly).
const TRANSFER_EVERY: Duration = Duration::from_millis(250);
/// A node that just came back gets this long to catch up before leaders are moved to it.
const BALANCE_AFTER: Duration = Duration::from_secs(5);

/// The actor that decides for the cluster while this node leads the meta group.
pub struct Coordinator {
    pub(super) local: Arc<Local>,
    pub(super) cluster: Arc<Cluster>,
    /// When each gateway was last heard of here.
    pub presence: Presence,
    pub author: Author,
    gateway_silence_max: Duration,
    bounds: Bounds,
    /// The last round's reports.
    observed: Mutex<Observed>,
}

impl Coordinator {
    /// A gateway that is silent for `gateway_silence_max` leaves the packet.
    pub fn new(
        local: Arc<Local>,
        cluster: Arc<Cluster>,
        author: Author,
        gateway_silence_max: Duration,
        placement: PlacementConfig,
    ) -> Self {
        let bounds = Bounds {
            dead_after_ms: u64::try_from(placement.dead_after_s.as_millis()).unwrap_or(u64::MAX),
            moves_per_node: placement.moves_per_node,
            disk_used_percent_max: placement.disk_used_percent_max,
            rebalance: placement.rebalance,
        };
        let (presence, observed) = (Presence::default(), Mutex::default());
        Self { local, cluster, presence, author, gateway_silence_max, bounds, observed }
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
                never = reach::watch(&self.author.record, || self.cluster.view.map().packet.clone()) => match never {},
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
                    Ok(next) => pause = next,
                    Err(error) => warn!(%error, "coordination step failed"),
                }
            }
            sleep(pause).await;
        }
    }

    /// The next steps that the map and the nodes' reports call for; how long to wait after them.
    async fn step(&self, group: &Group, led_since: Instant) -> Result<Duration, Error> {
        let Some(map) = group.read(|view| meta::cluster_map(view))? else {
            self.bootstrap(group).await?;
            return Ok(ROUND);
        };
        if map.groups.iter().all(|info| info.group == META_GROUP) {
            let placements = place(&map.nodes, map.shard_count);
            info!(shards = map.shard_count, nodes = map.nodes.len(), "placing shards");
            propose(group, &self.local.clock, Body::PlaceShards(PlaceShards { placements })).await?;
            return Ok(ROUND);
        }
        if let Some(to) = meta::raisable(&map) {
            info!(from = map.command_version, to, "every node understands it: raising the command version");
            propose(group, &self.local.clock, Body::RaiseCommandVersion(RaiseCommandVersion { to })).await?;
            return Ok(ROUND);
        }
        self.let_go(group, &map, led_since).await?;
        let statuses = self.statuses(&map).await;
        let hands = self.hands(group, &map);
        let due = self.due(&map, &statuses, led_since);
        let pause = if due.is_empty() && map.groups.iter().all(|info| info.moving.is_none()) {
            ROUND
        } else {
            MOVING_ROUND
        };
        hands.carry_out_all(due).await;
        if led_since.elapsed() < BALANCE_AFTER {
            return Ok(pause);
        }
        let transferred = self.balance(&hands, &statuses).await?;
        Ok(if transferred { TRANSFER_EVERY } else { pause })
    }

    /// The steps that are due: none that needs a newer command version than the one in force.
    fn due(&self, map: &ClusterMap, statuses: &[NodeStatusReply], led_since: Instant) -> Vec<Step> {
        if map.command_version < meta::PLACEMENT_VERSION {
            return Vec::new();
        }
        let me = self.local.identity.node_uuid();
        let silence = |node: &NodeUuid| {
            if *node == me { Some(Duration::ZERO) } else { self.cluster.peers.silence(node) }
        };
        let mut steps = marks(map, led_since.elapsed(), silence);
        let observed = {
            let mut last = lock(&self.observed);
            *last = Observed::of(statuses, &last);
            last.clone()
        };
        // Nodes that could not be asked yet look as if they were gone.
        if let Some(now_ms) = self.local.clock.judged_ms().filter(|_| led_since.elapsed() >= BALANCE_AFTER) {
            steps.extend(plan(map, &observed, self.bounds, now_ms));
        }
        steps
    }

    pub(super) fn hands<'a>(&'a self, meta: &'a Group, map: &'a ClusterMap) -> Hands<'a> {
        let term = meta.status().term;
        Hands { local: &self.local, cluster: &self.cluster, meta, map, term }
    }

    /// Whether this node leads the meta group, and a majority of it hears so: without one nothing is decided, and the
    /// last reports are of before.
    pub fn leads(&self) -> bool {
        self.local.host.group(meta::GROUP).is_some_and(|group| group.leads_a_majority())
    }

    /// Reads the last round's reports; `None` while another node coordinates.
    pub fn observed<T>(&self, read: impl FnOnce(&Observed) -> T) -> Option<T> {
        self.leads().then(|| read(&lock(&self.observed)))
    }

    /// A node that is away for longer is replaced.
    pub fn dead_after(&self) -> Duration {
        Duration::from_millis(self.bounds.dead_after_ms)
    }

    async fn bootstrap(&self, group: &Group) -> Result<(), Error> {
        let Some(init) = self.local.identity.init() else { return Ok(()) };
        info!("writing the cluster's first entry");
        let version = meta::first_command_version(&init.nodes)
            .ok_or_else(|| Error::Init("the first nodes share no command version".to_owned()))?;
        let nodes = init.nodes.iter().cloned().map(|node| meta::to_command(node, version)).collect();
        let command = Bootstrap {
            cluster_id: init.cluster_id.clone(),
            shard_count: init.shard_count,
            nodes,
            signup_mode: init.settings.clone().unwrap_or_default().signup_mode,
            homeserver: self.local.identity.homeserver().to_vec().into(),
        };
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

    async fn balance(&self, hands: &Hands<'_>, statuses: &[NodeStatusReply]) -> Result<bool, Error> {
        let moves = |group| hands.map.groups.iter().any(|info| info.group == group && info.moving.is_some());
        let Some(Transfer { group, at, to_replica }) = next_transfer(statuses, moves) else {
            return Ok(false);
        };
        info!(group, to = to_replica, "evening out leaders");
        hands.transfer(group, at, to_replica).await?;
        Ok(true)
    }

    /// Those of the nodes that answer.
    pub(super) async fn statuses(&self, map: &ClusterMap) -> Vec<NodeStatusReply> {
        let asked = map.nodes.iter().map(|node| async {
            let mut client = self.cluster.pool.meta(&node.address, Some(&node.name)).ok()?;
            let request = NodeStatusRequest { version: WIRE_VERSION, ..NodeStatusRequest::default() };
            let reply = call(&node.address, client.node_status(request)).await.ok()?;
            // After a disk was lost another identity answers at the address, and is asked under its own name as well.
            (reply.node_uuid == node.node_uuid).then_some(reply)
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
