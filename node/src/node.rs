//! A whole storage node: opens its stores, starts its services and actors, and stops them in order.

use std::fs::{File, TryLockError};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pkarr::Keypair;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_raft::log_store::{LogEngine, LogOptions, RocksLog, TailBudget};
use rowhouse_raft::runtime::Runtime as _;
use rowhouse_raft::state::{RocksState, StateOptions, StateStore};
use rowhouse_raft::transport::{Directory, TonicWire, Transport};
use rowhouse_raft::{GroupRole, Host, HostOptions};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::actor::{Statuses, Supervisor, TaskKind};
use crate::apply::ShardMachine;
use crate::clock::{Clock, TimeSource};
use crate::config::NodeConfig;
use crate::coordinator::{Author, Coordinator, NetworkPublisher, PublishRecord};
use crate::identity::{ClusterId, Identity, NodeUuid, hex};
use crate::init::InitServer;
use crate::peers::{Addresses, ClusterView, MapWatch, Monitor, Peers, Pool};
use crate::service::{MetaService, Services, ShardService, SpaceGate, StatusReport, serve};
use crate::shards::{Problems, ShardSupervisor};
use crate::space::Space;
use crate::{Error, Runtime, flush};

const LOCK_FILE: &str = "lock";
/// How long a stopping node waits for others to take over what it led.
const DRAIN_DEADLINE: Duration = Duration::from_secs(2);
/// How often it looks whether they have.
const DRAIN_LOOK: Duration = Duration::from_millis(20);

/// A running node. Dropping it stops it like a crash does.
pub struct Node {
    me: NodeInfo,
    address: SocketAddr,
    host: Arc<Host<Runtime>>,
    wire: Arc<TonicWire>,
    view: ClusterView,
    statuses: Statuses,
    /// Ends the actors; the listener goes on until `closed`.
    stop: CancellationToken,
    closed: CancellationToken,
    actors: JoinSet<Result<(), Error>>,
    listener: JoinSet<Result<(), Error>>,
    /// Held while this process owns the data folder.
    _lock: File,
}

/// What everything on a node shares.
struct Parts {
    config: NodeConfig,
    me: NodeInfo,
    engine: Arc<dyn LogEngine>,
    identity: Arc<Identity>,
    addresses: Arc<Addresses>,
    clock: Arc<Clock>,
    space: Arc<Space>,
    host: Arc<Host<Runtime>>,
    wire: Arc<TonicWire>,
    pool: Arc<Pool>,
    peers: Arc<Peers>,
    view: ClusterView,
    problems: Problems,
    published: Arc<PublishRecord>,
    init: Arc<InitServer>,
    monitor: Arc<Monitor>,
    keypair: Keypair,
}

/// The transport's questions, answered from memory.
struct NodeDirectory {
    identity: Arc<Identity>,
    addresses: Arc<Addresses>,
}

impl Directory for NodeDirectory {
    fn cluster_id(&self) -> Option<ClusterId> {
        self.identity.cluster_id()
    }

    fn address(&self, node: NodeUuid) -> Option<String> {
        self.addresses.of(node)
    }
}

impl Node {
    /// Opens the data folder and serves. An empty folder is a new node, waiting for `cluster init` or
    /// for its seeds' cluster to let it in.
    pub async fn start(config: NodeConfig) -> Result<Self, Error> {
        config.validate()?;
        std::fs::create_dir_all(&config.data_dir)
            .map_err(|error| Error::io(format!("data folder {}", config.data_dir.display()), error))?;
        let lock = lock(&config.data_dir)?;
        let listener = TcpListener::bind(config.listen)
            .await
            .map_err(|error| Error::io(format!("listening on {}", config.listen), error))?;
        let address = listener.local_addr().map_err(|error| Error::io("listener's address", error))?;
        let parts = Parts::open(config, address).await?;
        let (stop, closed) = (CancellationToken::new(), CancellationToken::new());
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, parts.services(&closed), closed.clone()));
        // Before any replica runs: a folder of another cluster must not take part in this one.
        parts.monitor.round().await?;
        parts.init.start_meta().await?;
        let supervisor = parts.supervise(stop.clone());
        let statuses = supervisor.statuses();
        let mut actors = JoinSet::new();
        actors.spawn(supervisor.run());
        info!(node = hex(&parts.me.node_uuid), %address, name = parts.me.name, "node started");
        Ok(Self {
            me: parts.me,
            address,
            host: parts.host,
            wire: parts.wire,
            view: parts.view,
            statuses,
            stop,
            closed,
            actors,
            listener: serving,
            _lock: lock,
        })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn info(&self) -> &NodeInfo {
        &self.me
    }

    /// The cluster map as this node knows it.
    pub fn view(&self) -> &ClusterView {
        &self.view
    }

    pub fn actors(&self) -> &Statuses {
        &self.statuses
    }

    pub fn host(&self) -> &Arc<Host<Runtime>> {
        &self.host
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
        self.drain().await;
        self.stop.cancel();
        while let Some(ended) = self.actors.join_next().await {
            report(ended);
        }
        self.wire.shutdown();
        self.closed.cancel();
        while let Some(ended) = self.listener.join_next().await {
            report(ended);
        }
        self.host.shutdown().await?;
        info!("node stopped");
        Ok(())
    }

    /// Transfers leadership of every group to a voter that has caught up, and waits a little for it.
    async fn drain(&self) {
        for group in self.host.groups() {
            let status = group.status();
            let heir = status
                .matched
                .iter()
                .find(|(replica, matched)| *replica != status.replica && *matched >= status.last_log);
            if let (GroupRole::Leader, Some((heir, _))) = (status.role, heir)
                && let Err(error) = group.transfer_leader(*heir).await
            {
                warn!(group = status.group, %error, "leadership not handed over");
            }
        }
        let leads = |groups: &Arc<Host<Runtime>>| {
            groups.groups().iter().any(|group| group.is_leader() && group.status().matched.len() > 1)
        };
        let drained = async {
            while leads(&self.host) {
                tokio::time::sleep(DRAIN_LOOK).await;
            }
        };
        if tokio::time::timeout(DRAIN_DEADLINE, drained).await.is_err() {
            warn!("still leading some groups; the others will elect");
        }
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

/// The two stores, and the memory they share (consensus.md R9): a quarter for the log's memtables, five
/// eighths for the state's memtables and cache, an eighth for the log's tail.
fn open_stores(data_dir: &Path, memory_bytes: usize) -> Result<(Arc<dyn LogEngine>, Arc<StateStore>), Error> {
    let engine = RocksLog::open(&data_dir.join("log"), &LogOptions::new(memory_bytes / 4))?;
    let state = RocksState::open(&data_dir.join("state"), StateOptions { memory_bytes })?;
    let store = StateStore::open(Arc::new(state), data_dir.join("staging"))?;
    Ok((Arc::new(engine), store))
}

impl Parts {
    async fn open(config: NodeConfig, address: SocketAddr) -> Result<Self, Error> {
        let keypair = Keypair::from_secret_key(&config.homeserver_secret);
        let homeserver = keypair.public_key().to_bytes();
        let memory = usize::try_from(config.memory_bytes).map_err(|error| Error::Config(error.to_string()))?;
        let data_dir = config.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<_, Error> {
            let (engine, state) = open_stores(&data_dir, memory)?;
            let identity = Identity::open(Arc::clone(&engine), homeserver)?;
            let clock = Clock::open(Arc::clone(&engine), TimeSource::system())?;
            Ok((engine, state, Arc::new(identity), Arc::new(clock)))
        });
        let (engine, state, identity, clock) = opened.await.map_err(|_| Error::Stopped)??;
        let me = NodeInfo {
            node_uuid: identity.node_uuid().to_vec().into(),
            address: advertised(&config.advertise, address),
            name: config.name.clone(),
        };
        let addresses = Arc::<Addresses>::default();
        let directory = NodeDirectory { identity: Arc::clone(&identity), addresses: Arc::clone(&addresses) };
        let wire = Arc::new(TonicWire::new(identity.node_uuid(), Arc::new(directory)));
        let transport = Transport::new(wire.clone(), state.staging().to_owned());
        let host = Host::new(HostOptions {
            log: Arc::clone(&engine),
            state,
            transport,
            tail: TailBudget::new(memory / 8),
            timing: config.timing,
        });
        let space = Space::new(&config.data_dir, config.free_space_min_bytes)?;
        let (pool, peers, view) = (Arc::<Pool>::default(), Arc::<Peers>::default(), ClusterView::default());
        let init = InitServer::new(
            Arc::clone(&identity),
            Arc::clone(&engine),
            Arc::clone(&host),
            Arc::clone(&addresses),
            me.clone(),
        );
        let monitor = Monitor {
            identity: Arc::clone(&identity),
            addresses: Arc::clone(&addresses),
            pool: Arc::clone(&pool),
            view: view.clone(),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            seeds: config.seeds.clone(),
        };
        Ok(Self {
            config,
            me,
            engine,
            identity,
            addresses,
            clock,
            space,
            host,
            wire,
            pool,
            peers,
            view,
            problems: Problems::default(),
            published: Arc::default(),
            init: Arc::new(init),
            monitor: Arc::new(monitor),
            keypair,
        })
    }

    fn services(&self, closed: &CancellationToken) -> Services {
        let gate = SpaceGate {
            me: self.identity.node_uuid(),
            space: Arc::clone(&self.space),
            peers: Arc::clone(&self.peers),
            view: self.view.clone(),
        };
        let status = StatusReport {
            me: self.me.clone(),
            identity: Arc::clone(&self.identity),
            host: Arc::clone(&self.host),
            clock: Arc::clone(&self.clock),
            view: self.view.clone(),
            space: Arc::clone(&self.space),
            published: Arc::clone(&self.published),
            problems: Arc::clone(&self.problems),
        };
        let shard = ShardService::new(
            Arc::clone(&self.host),
            Arc::clone(&self.clock),
            self.view.clone(),
            gate,
            self.keypair.public_key().to_z32(),
        );
        let meta =
            MetaService::new(Arc::clone(&self.identity), Arc::clone(&self.init), status, closed.clone());
        Services { shard, meta, transport: self.wire.server() }
    }

    fn supervise(&self, stop: CancellationToken) -> Supervisor {
        let mut supervisor = Supervisor::new(stop, Runtime::random_u64);
        let (clock, space, monitor) =
            (Arc::clone(&self.clock), Arc::clone(&self.space), Arc::clone(&self.monitor));
        supervisor.add(TaskKind::Clock, move |stop| Box::pin(Arc::clone(&clock).run(stop)));
        supervisor.add(TaskKind::Space, move |stop| Box::pin(Arc::clone(&space).run(stop)));
        supervisor.add(TaskKind::Peers, move |stop| Box::pin(Arc::clone(&monitor).run(stop)));
        let (host, every) = (Arc::clone(&self.host), self.config.flush_interval);
        supervisor.add(TaskKind::Flush, move |stop| Box::pin(flush::run(Arc::clone(&host), every, stop)));
        let map_watch = Arc::new(self.map_watch());
        supervisor.add(TaskKind::MapWatch, move |stop| Box::pin(Arc::clone(&map_watch).run(stop)));
        let shards = Arc::new(self.shards());
        supervisor.add(TaskKind::ShardSupervisor, move |stop| Box::pin(Arc::clone(&shards).run(stop)));
        let coordinator = Arc::new(self.coordinator());
        supervisor.add(TaskKind::Coordinator, move |stop| Box::pin(Arc::clone(&coordinator).run(stop)));
        supervisor
    }

    fn map_watch(&self) -> MapWatch {
        MapWatch {
            identity: Arc::clone(&self.identity),
            addresses: Arc::clone(&self.addresses),
            pool: Arc::clone(&self.pool),
            view: self.view.clone(),
            host: Arc::clone(&self.host),
            seeds: self.config.seeds.clone(),
            me: self.me.clone(),
        }
    }

    fn shards(&self) -> ShardSupervisor {
        ShardSupervisor {
            identity: Arc::clone(&self.identity),
            view: self.view.clone(),
            engine: Arc::clone(&self.engine),
            host: Arc::clone(&self.host),
            machine: Arc::new(|group| Arc::new(ShardMachine::new(u32::from(group)))),
            problems: Arc::clone(&self.problems),
        }
    }

    fn coordinator(&self) -> Coordinator {
        let publisher = NetworkPublisher::open(&self.config.pkarr).unwrap_or_else(|error| {
            // Serving never depends on publishing.
            error!(%error, "the homeserver's packet will be committed but not published");
            None
        });
        Coordinator {
            identity: Arc::clone(&self.identity),
            host: Arc::clone(&self.host),
            pool: Arc::clone(&self.pool),
            clock: Arc::clone(&self.clock),
            author: Author {
                keypair: self.keypair.clone(),
                clock: Arc::clone(&self.clock),
                publisher,
                republish_interval: self.config.pkarr.republish_interval,
                record: Arc::clone(&self.published),
            },
        }
    }
}

/// What was configured, with the bound port in place of a port 0.
fn advertised(configured: &str, bound: SocketAddr) -> String {
    match configured.rsplit_once(':') {
        Some((host, "0")) => format!("{host}:{}", bound.port()),
        _ => configured.to_owned(),
    }
}
