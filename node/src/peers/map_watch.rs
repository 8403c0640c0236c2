//! Keeps this node's view of the cluster map current, and this node's own line in the map true. The map comes from the
//! node's own replica of the meta group if it has one, else from another node's stream.
//!
//! A node on an empty folder whose seeds belong to a running cluster joins it here.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::meta::{ClusterMap, RegisterNodeRequest, WatchMapRequest};
use rowhouse_proto::{WIRE_VERSION, hex, map_change};
use tokio_stream::StreamExt;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::Cluster;
use super::pool::call;
use super::view::find_node;
use crate::identity::ClusterId;
use crate::local::Local;
use crate::meta::{cluster_map, is_told, map_version};
use crate::{Error, Group};

/// While another node has a newer map for longer than this, this node's own replica of the meta group is not to be
/// relied on: it lags, or its group has removed it without its knowledge.
const BEHIND_MAX: Duration = Duration::from_secs(2);
/// A point read of one key: as often as makes a change of the map seem immediate.
const LOCAL_POLL: Duration = Duration::from_millis(100);
/// Between attempts to reach somebody who knows the map.
const REMOTE_RETRY: Duration = Duration::from_millis(500);
/// A stream sends at least every 10 s; silence three times as long is a dead one.
const STREAM_SILENCE_MAX: Duration = Duration::from_secs(30);
/// Between attempts to correct this node's own line in the map.
const REGISTER_EVERY: Duration = Duration::from_secs(2);

/// The actor that keeps `Cluster::view` and `Cluster::addresses` current; their only writer once it runs.
pub struct MapWatch {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
}

impl MapWatch {
    /// Does nothing before it runs.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>) -> Self {
        Self { local, cluster }
    }

    /// Runs until stopped. Ends the node if a command version is in force that it does not understand.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let watching = async {
            let mut registered = tokio::time::Instant::now();
            let mut current = registered;
            loop {
                if !self.is_behind() {
                    current = tokio::time::Instant::now();
                }
                match self.local.host.group(crate::meta::GROUP) {
                    Some(meta) if current.elapsed() < BEHIND_MAX => self.poll_local(&meta).await?,
                    _ => self.follow_remote().await?,
                }
                if registered.elapsed() >= REGISTER_EVERY {
                    self.register_if_needed().await;
                    registered = tokio::time::Instant::now();
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => Ok(()),
            result = watching => result,
        }
    }

    /// Whether a node that was heard lately has a newer map.
    fn is_behind(&self) -> bool {
        self.cluster.peers.newest_map() > self.cluster.view.map().map_version
    }

    /// Whether this node's own replica of the meta group knows the map best.
    fn knows_itself(&self) -> bool {
        self.local.host.group(crate::meta::GROUP).is_some() && !self.is_behind()
    }

    async fn poll_local(&self, meta: &Group) -> Result<(), Error> {
        if meta.read_latest(|view| map_version(view))? > self.cluster.view.map().map_version
            && let Some(map) = meta.read(|view| cluster_map(view))?
        {
            self.take(&Arc::new(map)).await?;
        }
        tokio::time::sleep(LOCAL_POLL).await;
        Ok(())
    }

    /// Takes over a map, unless it is no newer. The version in force outlives this process: an older program must not
    /// start here.
    async fn take(&self, map: &Arc<ClusterMap>) -> Result<(), Error> {
        if map.map_version <= self.cluster.view.map().map_version {
            return Ok(());
        }
        self.cluster.view.check(map.command_version)?;
        if map.command_version > self.cluster.view.map().command_version {
            let (identity, in_force) = (Arc::clone(&self.local.identity), map.command_version);
            tokio::task::spawn_blocking(move || identity.heard_command_version(in_force))
                .await
                .map_err(|_| Error::Stopped)??;
        }
        self.cluster.addresses.learn(&map.nodes);
        self.cluster.view.publish(Arc::clone(map));
        Ok(())
    }

    /// Follows the first of the known nodes that answers, until the stream ends.
    async fn follow_remote(&self) -> Result<(), Error> {
        let me = self.local.identity.node_uuid();
        let known = self.cluster.addresses.all().into_iter().filter(|(node, _)| *node != me);
        let known = known.map(|(_, peer)| (peer.address, Some(peer.name)));
        let seeds = self.cluster.seeds.iter().map(|seed| (seed.clone(), None));
        let targets: Vec<(String, Option<String>)> = known.chain(seeds).collect();
        for (address, name) in targets {
            if self.knows_itself() {
                return Ok(());
            }
            match self.follow(&address, name.as_deref()).await {
                Err(error) if error.is_fatal() => return Err(error),
                Err(error) => tracing::debug!(peer = address, %error, "no map from there"),
                Ok(()) => {}
            }
        }
        tokio::time::sleep(REMOTE_RETRY).await;
        Ok(())
    }

    /// Follows one node's stream to its end. It ends also where that node lags behind others.
    async fn follow(&self, address: &str, name: Option<&str>) -> Result<(), Error> {
        let failed = |detail| Error::Peer { peer: address.to_owned(), detail };
        let mut client = self.cluster.pool.meta(address, name)?;
        let request = WatchMapRequest { version: WIRE_VERSION, changes: true };
        let mut stream = call(address, client.watch_map(request)).await?;
        let mut map = Arc::default();
        loop {
            let patience = if self.is_behind() { BEHIND_MAX } else { STREAM_SILENCE_MAX };
            let message = match tokio::time::timeout(patience, stream.next()).await {
                Ok(Some(Ok(message))) => message,
                Ok(Some(Err(status))) => return Err(failed(status.message().to_owned())),
                Ok(None) | Err(_) => return Ok(()),
            };
            map_change::apply(&mut map, message).map_err(|wrong| failed(wrong.to_string()))?;
            // A node that is not initialized cannot tell more; `cluster init` may reach us meanwhile.
            if map.cluster_id.is_empty() || self.knows_itself() {
                return Ok(());
            }
            self.cluster.view.check(map.command_version)?;
            if self.belongs(&map).await? {
                self.take(&map).await?;
            }
            self.register_if_needed().await;
            if self.knows_itself() {
                return Ok(());
            }
        }
    }

    /// Whether the map is of this node's cluster; a node that has none yet joins.
    async fn belongs(&self, map: &ClusterMap) -> Result<bool, Error> {
        let theirs = ClusterId::try_from(&map.cluster_id[..])
            .map_err(|_| Error::Init("malformed cluster id in a map".to_owned()))?;
        let ids = EventIds::new(map.shard_count)
            .ok_or_else(|| Error::Init("malformed number of shards in a map".to_owned()))?;
        match self.local.identity.cluster_id() {
            Some(ours) => Ok(ours == theirs),
            None if map.homeserver != self.local.identity.homeserver()[..] => {
                warn!("the seeds' cluster serves another homeserver key; not joining");
                Ok(false)
            }
            // Named in the map but told nothing: `cluster init` is still on its way.
            None if find_node(map, &self.local.identity.node_uuid()).is_some() => Ok(false),
            None => {
                info!(cluster = hex(&theirs), "joining as a new node");
                let identity = Arc::clone(&self.local.identity);
                tokio::task::spawn_blocking(move || identity.join(theirs, ids, None))
                    .await
                    .map_err(|_| Error::Stopped)??;
                Ok(true)
            }
        }
    }

    /// Tells the meta leader this node's name and address where the map has others.
    async fn register_if_needed(&self) {
        let map = self.cluster.view.map();
        let Some(cluster_id) = self.local.identity.cluster_id() else { return };
        let line = find_node(&map, &self.local.me.node_uuid);
        if map.map_version == 0 || line.is_some_and(|line| is_told(line, &self.local.me, map.command_version))
        {
            return;
        }
        let request =
            RegisterNodeRequest { node: Some(self.local.me.clone()), cluster_id: cluster_id.to_vec().into() };
        for node in &map.nodes {
            let node = if node.node_uuid == self.local.me.node_uuid { &self.local.me } else { node };
            let address = &node.address;
            let Ok(mut client) = self.cluster.pool.meta(address, Some(&node.name)) else { continue };
            match call(address, client.register_node(request.clone())).await {
                Ok(reply) if reply.accepted => return,
                Ok(reply) if !reply.refused.is_empty() => {
                    warn!(reason = reply.refused, "registration refused")
                }
                _ => {}
            }
        }
    }
}
