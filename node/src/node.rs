//! A whole storage node: opens its data folder, serves, and stops in order.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::hex;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_raft::Host;
use rowhouse_raft::transport::TonicWire;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::actor::Statuses;
use crate::config::NodeConfig;
use crate::health::unready;
use crate::init::InitServer;
use crate::local::Local;
use crate::metrics::{Sources, observe};
use crate::objects::Objects;
use crate::parts::Parts;
use crate::peers::{Cluster, ClusterView};
use crate::service::serve;
use crate::shards::is_hopeless;
use crate::{Error, Runtime};

const LOCK_FILE: &str = "lock";
/// How long a stopping node waits for others to take over what it led. Kubernetes kills after 30 s.
const DRAIN_DEADLINE: Duration = Duration::from_secs(10);

/// A running node. Dropping it stops it like a crash does.
pub struct Node {
    address: SocketAddr,
    local: Arc<Local>,
    cluster: Arc<Cluster>,
    wire: Arc<TonicWire>,
    objects: Arc<Objects>,
    statuses: Statuses,
    /// Instruments read them as long as they are here.
    _measured: Arc<Sources>,
    /// Ends the actors; the listener goes on until `closed`.
    stop: CancellationToken,
    closed: CancellationToken,
    actors: JoinSet<Result<(), Error>>,
    listener: JoinSet<Result<(), Error>>,
    /// Held while this process owns the data folder.
    _lock: File,
}

impl Node {
    /// Opens the data folder and serves. An empty folder is a new node, waiting for `cluster init` or
    /// for its seeds' cluster to let it in.
    pub async fn start(config: NodeConfig) -> Result<Self, Error> {
        config.validate()?;
        std::fs::create_dir_all(&config.node.data_dir)
            .map_err(|error| Error::io(format!("data folder {}", config.node.data_dir.display()), error))?;
        let lock = lock(&config.node.data_dir)?;
        let listener = TcpListener::bind(config.node.listen)
            .await
            .map_err(|error| Error::io(format!("listening on {}", config.node.listen), error))?;
        let address = listener.local_addr().map_err(|error| Error::io("listener's address", error))?;
        let per_shard = config.node.metrics_per_shard;
        let parts = Parts::open(config, address).await?;
        let measured = parts.measured();
        observe(&measured, per_shard);
        let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, parts.services(&closed), closed.clone()));
        // Before any replica runs: a folder of another cluster must not take part in this one.
        parts.actors.monitor.round().await?;
        start_meta(&parts.init).await?;
        let supervisor = parts.actors.supervise(stop.clone());
        let mut actors = JoinSet::new();
        actors.spawn(supervisor.run());
        info!(node = hex(&parts.local.me.node_uuid), %address, name = parts.local.me.name, "node started");
        Ok(Self {
            address,
            local: parts.local,
            cluster: parts.cluster,
            wire: parts.wire,
            objects: parts.actors.objects.clone(),
            statuses: parts.actors.statuses.clone(),
            _measured: measured,
            stop,
            closed,
            actors,
            listener: serving,
            _lock: lock,
        })
    }

    /// The bound one of its one gRPC listener.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// This node's own line in the cluster map.
    pub fn info(&self) -> &NodeInfo {
        &self.local.me
    }

    /// The cluster map as this node knows it.
    pub fn view(&self) -> &ClusterView {
        &self.cluster.view
    }

    /// The board that shows the state of each actor.
    pub fn actors(&self) -> &Statuses {
        &self.statuses
    }

    /// For a readiness probe: why this node should not be counted on; empty if it should.
    pub fn readiness(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let (local, cluster) = (Arc::clone(&self.local), Arc::clone(&self.cluster));
        move || unready(&local, &cluster)
    }

    /// The replicas that run here.
    pub fn host(&self) -> &Arc<Host<Runtime>> {
        &self.local.host
    }

    /// Returns when the node ends by itself: something made going on harmful.
    pub async fn ended(&mut self) -> Error {
        let ended = tokio::select! {
            Some(ended) = self.actors.join_next() => ended,
            Some(ended) = self.listener.join_next() => ended,
            else => return Error::Stopped,
        };
        match ended {
            Ok(Ok(())) => Error::Stopped,
            Ok(Err(error)) => error,
            Err(error) => Error::io("node task", std::io::Error::other(error)),
        }
    }

    /// Hands over what it leads, stops, and makes everything durable.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        let drain = &self.local.drain;
        drain.set(true);
        if tokio::time::timeout(DRAIN_DEADLINE, drain.done()).await.is_err() {
            warn!(led = drain.led(), "still leading some groups; the others will elect");
        }
        self.stop.cancel();
        while let Some(ended) = self.actors.join_next().await {
            report(ended);
        }
        self.wire.shutdown();
        self.closed.cancel();
        while let Some(ended) = self.listener.join_next().await {
            report(ended);
        }
        self.local.host.shutdown().await?;
        self.objects.blobs.close().await;
        info!("node stopped");
        Ok(())
    }
}

/// A meta replica that cannot run under this program keeps nothing else from running; its problem is shown by the
/// supervisor, which tries once more.
async fn start_meta(init: &InitServer) -> Result<(), Error> {
    match init.start_meta().await {
        Err(Error::Raft(error)) if is_hopeless(&error) => {
            error!(%error, "the meta group's replica does not start");
            Ok(())
        }
        started => started.map(drop),
    }
}

fn report(ended: Result<Result<(), Error>, tokio::task::JoinError>) {
    match ended {
        Ok(Ok(())) => {}
        Ok(Err(error)) => error!(%error, "ended with an error"),
        Err(error) => error!(%error, "ended with a panic"),
    }
}

fn lock(data_dir: &Path) -> Result<File, Error> {
    let file = File::create(data_dir.join(LOCK_FILE)).map_err(|error| Error::io("lock file", error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DataFolderInUse(data_dir.display().to_string())),
        Err(TryLockError::Error(error)) => Err(Error::io("lock file", error)),
    }
}
