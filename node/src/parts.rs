//! What a node is made of, and how the parts are joined. Nothing here decides anything.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use pkarr::Keypair;
use rowhouse_proto::tls::Dialer;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_raft::log_store::{LogEngine, LogOptions, RocksLog, TailBudget};
use rowhouse_raft::runtime::Runtime as _;
use rowhouse_raft::state::{RocksState, StateOptions, StateStore};
use rowhouse_raft::transport::{Directory, Peer, TonicWire, Transport};
use rowhouse_raft::{Host, HostOptions, Machine};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;
use tracing::error;

use crate::actor::{Supervisor, TaskKind};
use crate::blobs::{BlobOptions, BlobStore};
use crate::clock::{Clock, TimeSource};
use crate::config::NodeConfig;
use crate::coordinator::{Author, Coordinator, NetworkPublisher, OpenPublisher, Presence, PublishRecord};
use crate::drain::Drain;
use crate::identity::{ClusterId, Identity, NodeUuid};
use crate::init::InitServer;
use crate::meta::MetaMachine;
use crate::objects::{self, Damage, Objects, Progress};
use crate::peers::{Addresses, ClusterView, MapWatch, Monitor, Peers, Pool};
use crate::service::{ChunkService, MetaService, Services, ShardService, SpaceGate, StatusReport};
use crate::shards::{Problems, ShardSupervisor};
use crate::space::Space;
use crate::{Error, Runtime, check, flush};

/// What everything on a node shares.
pub struct Parts {
    pub config: NodeConfig,
    pub me: NodeInfo,
    pub engine: Arc<dyn LogEngine>,
    pub identity: Arc<Identity>,
    pub addresses: Arc<Addresses>,
    pub clock: Arc<Clock>,
    pub space: Arc<Space>,
    pub drain: Arc<Drain>,
    pub host: Arc<Host<Runtime>>,
    pub wire: Arc<TonicWire>,
    pub pool: Arc<Pool>,
    pub peers: Arc<Peers>,
    pub view: ClusterView,
    pub problems: Problems,
    pub published: Arc<PublishRecord>,
    pub presence: Arc<Presence>,
    pub init: Arc<InitServer>,
    meta_machine: Arc<dyn Machine>,
    pub monitor: Arc<Monitor>,
    pub keypair: Keypair,
    pub objects: Arc<Objects>,
    damage: Arc<Mutex<mpsc::Receiver<Damage>>>,
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

    fn peer(&self, node: NodeUuid) -> Option<Peer> {
        self.addresses.of(node)
    }
}

/// The two stores, and the memory they share (docs/rules/storage.md#one-memory-budget): a quarter for the memtables
/// of each, three eighths for the one block cache, an eighth for the log's tail.
fn open_stores(data_dir: &Path, memory_bytes: usize) -> Result<(Arc<dyn LogEngine>, Arc<StateStore>), Error> {
    let (mut of_log, of_state) = (LogOptions::new(memory_bytes / 4), StateOptions::new(memory_bytes));
    of_log.block_cache = of_state.block_cache.clone();
    let engine = RocksLog::open(&data_dir.join("log"), &of_log).map_err(of_folder)?;
    let state = RocksState::open(&data_dir.join("state"), of_state).map_err(of_folder)?;
    let store = StateStore::open(Arc::new(state), data_dir.join("staging")).map_err(of_folder)?;
    Ok((Arc::new(engine), store))
}

/// One error for a folder of another format, whichever store notices first.
fn of_folder(error: rowhouse_raft::Error) -> Error {
    match error {
        rowhouse_raft::Error::Version { what, found, known } => Error::FormatVersion { what, found, known },
        other => other.into(),
    }
}

impl Parts {
    pub async fn open(config: NodeConfig, address: SocketAddr) -> Result<Self, Error> {
        let keypair = Keypair::from_secret_key(&config.homeserver_secret);
        let homeserver = keypair.public_key().to_bytes();
        let memory =
            usize::try_from(config.storage.memory_bytes).map_err(|error| Error::Config(error.to_string()))?;
        let data_dir = config.node.data_dir.clone();
        let opened = tokio::task::spawn_blocking(move || -> Result<_, Error> {
            let (engine, state) = open_stores(&data_dir, memory)?;
            let identity = Identity::open(Arc::clone(&engine), homeserver)?;
            let clock = Arc::new(Clock::open(Arc::clone(&engine), TimeSource::system())?);
            // By the same clock as what sweeps them.
            let of_chunks = Arc::clone(&clock);
            let options =
                BlobOptions { now_ms: Arc::new(move || of_chunks.physical_ms()), ..BlobOptions::default() };
            let blobs = BlobStore::open(&data_dir.join("blobs"), options)?;
            Ok((engine, state, Arc::new(identity), clock, blobs))
        });
        let (engine, state, identity, clock, blobs) = opened.await.map_err(|_| Error::Stopped)??;
        let me = NodeInfo {
            node_uuid: identity.node_uuid().to_vec().into(),
            address: advertised(&config.advertise(), address),
            name: config.name(),
            command_version_min: config.command_versions.min,
            command_version_max: config.command_versions.max,
        };
        let view = ClusterView::new(config.command_versions, identity.command_version()?)?;
        let addresses = Arc::<Addresses>::default();
        let dialer = Dialer::new(config.certificates.clone());
        let directory = NodeDirectory { identity: Arc::clone(&identity), addresses: Arc::clone(&addresses) };
        let wire = Arc::new(TonicWire::new(identity.node_uuid(), Arc::new(directory), dialer.clone()));
        let transport = Transport::new(wire.clone(), state.staging().to_owned(), config.raft);
        let host = Host::new(HostOptions {
            log: Arc::clone(&engine),
            state,
            transport,
            tail: TailBudget::new(memory / 8),
        });
        let space = Space::new(&config.node.data_dir, config.storage.free_space_min_bytes)?;
        let peers = Arc::<Peers>::default();
        let pool = Arc::new(Pool::new(dialer));
        let drain = Drain::new(Arc::clone(&host), Arc::clone(&peers));
        let meta_machine: Arc<dyn Machine> = Arc::new(MetaMachine { versions: config.command_versions });
        let init = InitServer::new(
            Arc::clone(&identity),
            Arc::clone(&engine),
            Arc::clone(&host),
            Arc::clone(&addresses),
            me.clone(),
            meta_machine.clone(),
        );
        let monitor = Monitor {
            identity: Arc::clone(&identity),
            addresses: Arc::clone(&addresses),
            pool: Arc::clone(&pool),
            view: view.clone(),
            peers: Arc::clone(&peers),
            clock: Arc::clone(&clock),
            drain: Arc::clone(&drain),
            space: Arc::clone(&space),
            seeds: config.node.seeds.clone(),
        };
        let (progress, damage) = Progress::new();
        let objects = Objects {
            host: Arc::clone(&host),
            blobs,
            clock: Arc::clone(&clock),
            space: Arc::clone(&space),
            addresses: Arc::clone(&addresses),
            pool: Arc::clone(&pool),
            progress: Arc::new(progress),
            limits: config.objects,
            view: view.clone(),
        };
        Ok(Self {
            objects: Arc::new(objects),
            damage: Arc::new(Mutex::new(damage)),
            config,
            me,
            engine,
            identity,
            addresses,
            clock,
            space,
            drain,
            host,
            wire,
            pool,
            peers,
            view,
            problems: Problems::default(),
            published: Arc::default(),
            presence: Arc::default(),
            init: Arc::new(init),
            meta_machine,
            monitor: Arc::new(monitor),
            keypair,
        })
    }

    pub fn services(&self, closed: &CancellationToken) -> Services {
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
            drain: Arc::clone(&self.drain),
            published: Arc::clone(&self.published),
            problems: Arc::clone(&self.problems),
            certificates: self.config.certificates.clone(),
            objects: Arc::clone(&self.objects),
        };
        let shard = ShardService::new(
            Arc::clone(&self.host),
            Arc::clone(&self.clock),
            self.view.clone(),
            gate,
            self.keypair.public_key().to_z32(),
            self.config.limits,
            self.config.objects.upload_expiry_s,
        );
        let chunk = ChunkService {
            host: Arc::clone(&self.host),
            blobs: Arc::clone(&self.objects.blobs),
            space: Arc::clone(&self.space),
            progress: Arc::clone(&self.objects.progress),
        };
        let meta = MetaService::new(
            Arc::clone(&self.identity),
            Arc::clone(&self.init),
            status,
            Arc::clone(&self.presence),
            Arc::clone(&self.peers),
            closed.clone(),
        );
        let certificates = self.config.certificates.clone();
        Services { shard, meta, chunk, transport: self.wire.server(), certificates }
    }

    pub fn supervise(&self, stop: CancellationToken) -> Supervisor {
        let mut supervisor = Supervisor::new(stop, Runtime::random_u64);
        let (clock, space, monitor) =
            (Arc::clone(&self.clock), Arc::clone(&self.space), Arc::clone(&self.monitor));
        supervisor.add(TaskKind::Clock, move |stop| Box::pin(Arc::clone(&clock).run(stop)));
        supervisor.add(TaskKind::Space, move |stop| Box::pin(Arc::clone(&space).run(stop)));
        supervisor.add(TaskKind::Peers, move |stop| Box::pin(Arc::clone(&monitor).run(stop)));
        let (host, engine) = (Arc::clone(&self.host), Arc::clone(&self.engine));
        let every = self.config.storage.flush_interval_s;
        supervisor.add(TaskKind::Flush, move |stop| {
            Box::pin(flush::run(Arc::clone(&host), Arc::clone(&engine), every, stop))
        });
        let host = Arc::clone(&self.host);
        supervisor.add(TaskKind::Check, move |stop| Box::pin(check::run(Arc::clone(&host), stop)));
        let drain = Arc::clone(&self.drain);
        supervisor.add(TaskKind::Drain, move |stop| Box::pin(Arc::clone(&drain).run(stop)));
        let map_watch = Arc::new(self.map_watch());
        supervisor.add(TaskKind::MapWatch, move |stop| Box::pin(Arc::clone(&map_watch).run(stop)));
        let shards = Arc::new(self.shards());
        supervisor.add(TaskKind::ShardSupervisor, move |stop| Box::pin(Arc::clone(&shards).run(stop)));
        self.supervise_objects(&mut supervisor);
        let coordinator = Arc::new(self.coordinator());
        supervisor.add(TaskKind::Coordinator, move |stop| Box::pin(Arc::clone(&coordinator).run(stop)));
        supervisor
    }

    fn supervise_objects(&self, supervisor: &mut Supervisor) {
        let objects = || Arc::clone(&self.objects);
        let (to_collect, to_fill, to_erase) = (objects(), objects(), objects());
        let (to_sweep, to_scrub, damage) = (objects(), objects(), Arc::clone(&self.damage));
        supervisor
            .add(TaskKind::Collect, move |stop| Box::pin(objects::collect(Arc::clone(&to_collect), stop)));
        supervisor.add(TaskKind::Fill, move |stop| {
            Box::pin(objects::fill(Arc::clone(&to_fill), Arc::clone(&damage), stop))
        });
        supervisor.add(TaskKind::Erase, move |stop| Box::pin(objects::erase(Arc::clone(&to_erase), stop)));
        supervisor.add(TaskKind::Sweep, move |stop| Box::pin(objects::sweep(Arc::clone(&to_sweep), stop)));
        supervisor.add(TaskKind::Scrub, move |stop| Box::pin(objects::scrub(Arc::clone(&to_scrub), stop)));
    }

    fn map_watch(&self) -> MapWatch {
        MapWatch {
            identity: Arc::clone(&self.identity),
            addresses: Arc::clone(&self.addresses),
            pool: Arc::clone(&self.pool),
            view: self.view.clone(),
            host: Arc::clone(&self.host),
            seeds: self.config.node.seeds.clone(),
            me: self.me.clone(),
        }
    }

    fn shards(&self) -> ShardSupervisor {
        ShardSupervisor {
            identity: Arc::clone(&self.identity),
            view: self.view.clone(),
            engine: Arc::clone(&self.engine),
            host: Arc::clone(&self.host),
            versions: self.config.command_versions,
            meta_machine: Arc::clone(&self.meta_machine),
            problems: Arc::clone(&self.problems),
        }
    }

    fn coordinator(&self) -> Coordinator {
        let pkarr = self.config.pkarr.clone();
        let open: OpenPublisher = Arc::new(move || {
            NetworkPublisher::open(&pkarr).unwrap_or_else(|error| {
                // Serving never depends on publishing.
                error!(%error, "the homeserver's packet is committed but not published");
                None
            })
        });
        Coordinator {
            identity: Arc::clone(&self.identity),
            host: Arc::clone(&self.host),
            pool: Arc::clone(&self.pool),
            clock: Arc::clone(&self.clock),
            presence: Arc::clone(&self.presence),
            gateway_silence_max: self.config.pkarr.gateway_silence_max_s,
            author: Author {
                keypair: self.keypair.clone(),
                clock: Arc::clone(&self.clock),
                open,
                republish_interval: self.config.pkarr.republish_interval_s,
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
