//! The parts of a node, and how they are joined. Nothing here decides anything.

use std::net::SocketAddr;
use std::sync::Arc;

use pkarr::Keypair;
use rowhouse_peer::Dialer;
use rowhouse_raft::log_store::TailBudget;
use rowhouse_raft::transport::{BulkOptions, TonicWire, Transport};
use rowhouse_raft::{Host, HostOptions, LogKeep, Machine};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::actor::{Actors, Statuses};
use crate::chronicle::Chronicle;
use crate::config::NodeConfig;
use crate::coordinator::{Author, Coordinator};
use crate::drain::Drain;
use crate::feed::Marks;
use crate::folder::Folder;
use crate::init::InitServer;
use crate::local::{Local, own_line};
use crate::meta::MetaMachine;
use crate::metrics::{Groups, Sources, SyncDurations};
use crate::network::{Network, PkarrNetwork};
use crate::objects::Objects;
use crate::peers::{Cluster, MapWatch, Monitor, NodeDirectory};
use crate::republish::{Republisher, SOCKETS};
use crate::service::{
    ChunkService, FeedService, LimitsService, MetaService, Services, ShardService, StatusReport,
};
use crate::settings::PkarrConfig;
use crate::shards::{Problems, ShardSupervisor};
use crate::space::Space;

/// A node that is opened and not started.
pub struct Parts {
    pub local: Arc<Local>,
    pub cluster: Arc<Cluster>,
    pub wire: Arc<TonicWire>,
    pub init: Arc<InitServer>,
    pub actors: Arc<Actors>,
    config: NodeConfig,
    keypair: Keypair,
    syncs: Arc<SyncDurations>,
}

impl Parts {
    /// Opens the data folder and joins the parts of a node whose listener is bound to `address`. Fails if the
    /// folder is of another homeserver, format or command version, or cannot be read.
    pub async fn open(config: NodeConfig, address: SocketAddr) -> Result<Self, Error> {
        let keypair = Keypair::from_secret_key(&config.homeserver_secret);
        let memory_bytes =
            usize::try_from(config.storage.memory_bytes).map_err(|error| Error::Config(error.to_string()))?;
        let homeserver = keypair.public_key().to_bytes();
        let Folder { engine, state, identity, clock, blobs, syncs } =
            Folder::open(config.node.data_dir.clone(), memory_bytes, homeserver).await?;
        let dialer = Dialer::new(config.certificates.clone());
        let cluster = Arc::new(Cluster::new(&config, identity.command_version()?, dialer.clone())?);

        let directory = NodeDirectory { identity: identity.clone(), cluster: cluster.clone() };
        let wire = Arc::new(TonicWire::new(identity.node_uuid(), Arc::new(directory), dialer));
        let space = Space::new(&config.node.data_dir, config.storage.free_space_min_bytes)?;
        let room = space.clone();
        let bulk = BulkOptions {
            bytes_per_second: config.placement.bytes_per_second,
            room: Some(Arc::new(move || room.room_bytes())),
            ..BulkOptions::from(state.staging().to_owned())
        };
        let transport = Transport::new(wire.clone(), bulk, config.raft);
        let tail = TailBudget::new(memory_bytes / 8);
        let keep = LogKeep {
            span: config.storage.log_keep_s,
            replica_bytes_max: config.storage.log_replica_bytes_max,
            node_bytes_max: config.storage.log_bytes_max,
            ..LogKeep::default()
        };
        let host = Host::new(HostOptions { log: engine.clone(), state, transport, tail, keep });

        let drain = Drain::new(host.clone(), cluster.clone());
        let me = own_line(&config, address, identity.node_uuid());
        let problems = Problems::default();
        let local = Arc::new(Local { me, identity, engine, clock, space, host, drain, problems });

        let versions = config.command_versions;
        let meta_machine: Arc<dyn Machine> = Arc::new(MetaMachine { versions });
        let init = InitServer::new(local.clone(), cluster.clone(), meta_machine.clone());
        // Two ways out: users' packets may use up what a relay allows, and the homeserver's own must get through.
        let (own_way, users_way) = (network(&config.pkarr, 1)?, network(&config.pkarr, SOCKETS)?);
        let republish_interval = config.pkarr.republish_interval_s;
        let author = Author::new(keypair.clone(), local.clock.clone(), own_way, republish_interval);
        let republisher =
            Arc::new(Republisher::new(local.clone(), cluster.clone(), users_way, &config.pkarr));
        let silence_max = config.pkarr.gateway_silence_max_s;
        let placement = config.placement;
        let fill_rate = placement.bytes_per_second;
        let objects =
            Arc::new(Objects::new(local.clone(), cluster.clone(), blobs, config.objects, fill_rate));
        let coordinator = Coordinator::new(local.clone(), cluster.clone(), author, silence_max, placement);
        let statuses = Statuses::default();
        let actors = Actors {
            monitor: Monitor::new(local.clone(), cluster.clone()),
            map_watch: MapWatch::new(local.clone(), cluster.clone()),
            shards: ShardSupervisor::new(local.clone(), cluster.clone(), versions, meta_machine),
            objects,
            marks: Arc::new(Marks::new(local.clone())),
            chronicle: Arc::new(Chronicle::new(local.clone(), cluster.clone(), statuses.clone())),
            republisher,
            statuses,
            coordinator: Arc::new(coordinator),
            flush_interval: config.storage.flush_interval_s,
            local: local.clone(),
        };
        let (init, actors) = (Arc::new(init), Arc::new(actors));
        Ok(Self { local, cluster, wire, init, actors, config, keypair, syncs })
    }

    /// What instruments read.
    pub fn measured(&self) -> Arc<Sources> {
        let Actors { objects, coordinator, republisher, .. } = self.actors.as_ref();
        Arc::new(Sources {
            republisher: republisher.clone(),
            local: self.local.clone(),
            cluster: self.cluster.clone(),
            coordinator: coordinator.clone(),
            objects: objects.clone(),
            groups: Groups::default(),
        })
    }

    /// The services of the listener. Streams that have no end of their own end when `closed` is cancelled.
    pub fn services(&self, closed: &CancellationToken) -> Services {
        let Self { local, cluster, wire, init, actors, config, keypair, syncs } = self;
        let Actors { objects, coordinator, marks, chronicle, republisher, .. } = actors.as_ref();
        let certificates = config.certificates.clone();
        let status = StatusReport {
            local: local.clone(),
            cluster: cluster.clone(),
            coordinator: coordinator.clone(),
            objects: objects.clone(),
            chronicle: chronicle.clone(),
            republisher: republisher.clone(),
            syncs: syncs.clone(),
            certificates: certificates.clone(),
        };
        let homeserver_z32 = keypair.public_key().to_z32();
        Services {
            shard: ShardService::new(
                local,
                cluster,
                homeserver_z32,
                republisher.hints.clone(),
                config.limits,
                config.objects,
            ),
            feed: FeedService::new(local.clone(), cluster.clone(), marks.clone(), closed.clone()),
            meta: MetaService::new(init.clone(), status, config.limits, closed.clone()),
            limits: LimitsService::new(local.clone(), cluster.clone()),
            chunk: ChunkService::new(local.clone(), objects.clone()),
            transport: wire.server(),
            certificates,
        }
    }
}

/// `None` when nothing is configured that leads there.
fn network(config: &PkarrConfig, sockets: usize) -> Result<Option<Arc<dyn Network>>, Error> {
    let network = PkarrNetwork::with_sockets(config, sockets)?;
    Ok(network.map(|network| Arc::new(network) as Arc<dyn Network>))
}
