//! `rowhouse node`: settings into a configuration, then a running storage node until a signal.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_node::{AttemptLimits, Node, NodeConfig, ObjectLimits, PkarrConfig};
use rowhouse_peer::{Certificates, Role};

use crate::certificates::{self, keep_fresh};
use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::settings::{ConfigArgs, Flags, NodeSettings, TlsFlags};
use crate::signals::Stop;

/// One MiB: the unit of the memory and space flags.
const MIB: u64 = 1024 * 1024;
/// Stands for the key when the configuration is only looked at.
const NO_SECRET: [u8; 32] = [0; 32];

#[derive(clap::Args, Clone, Debug)]
pub struct NodeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Folder of this node's log and state. One node, one folder.
    #[arg(long, value_name = "PATH")]
    data_dir: Option<String>,
    /// Address to listen on, for gateways and other nodes; beyond loopback only with certificates.
    #[arg(long)]
    listen: Option<SocketAddr>,
    /// host:port at which others reach this node; the listening address if absent.
    #[arg(long)]
    advertise: Option<String>,
    /// Name shown to people, and in this node's certificate; that one, or the listening address, if absent.
    #[arg(long)]
    name: Option<String>,
    /// File with the homeserver's secret key: 64 hexadecimal digits.
    #[arg(long, value_name = "PATH")]
    homeserver_secret_file: Option<String>,
    /// host:port of another node; may be given several times.
    #[arg(long = "seed")]
    seeds: Vec<String>,
    /// host:port of a DHT node to publish through; may be given several times.
    #[arg(long = "dht-bootstrap")]
    dht_bootstrap: Vec<String>,
    /// URL of a pkarr relay to publish through; may be given several times.
    #[arg(long = "pkarr-relay")]
    pkarr_relays: Vec<String>,
    /// Seconds between publications of the homeserver's record.
    #[arg(long)]
    republish_interval_s: Option<u64>,
    /// Memory for all caches and buffers of the stores, in MiB.
    #[arg(long)]
    memory_mib: Option<u64>,
    /// Address for startup, liveness and readiness probes over HTTP; absent: none.
    #[arg(long)]
    probe_listen: Option<SocketAddr>,
    /// Free disk space below which new writes are refused, in MiB.
    #[arg(long)]
    free_space_min_mib: Option<u64>,
    /// Signups, sign-ins and other unauthenticated attempts taken from one client address, a second.
    #[arg(long)]
    attempts_per_second: Option<u32>,
    /// As many of them at once, after a while of quiet.
    #[arg(long)]
    attempts_burst: Option<u32>,
    #[command(flatten)]
    tls: TlsFlags,
}

pub async fn run(args: NodeArgs) -> Result<(), Error> {
    let print = args.config.print_config;
    let loaded = args.config.clone().load::<NodeSettings>(args.flags())?;
    let settings = loaded.settings.clone();
    let usage = |error: rowhouse_node::Error| Error::Usage(error.to_string());
    if print {
        config(settings, NO_SECRET, None).validate_values().map_err(usage)?;
        return loaded.print();
    }
    let secret = secret::read(&settings.secret.homeserver_secret_file)?;
    let certificates = certificates::open(&settings.tls, Role::Node)?;
    let config = config(settings, secret, certificates.clone());
    config.validate().map_err(usage)?;
    let failed = |error: rowhouse_node::Error| Error::Failed(error.to_string());
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(loaded.settings.probes.listen).await?;
    let mut node = tokio::select! {
        started = Node::start(config) => started.map_err(failed)?,
        () = stop.requested() => return Ok(()),
    };
    probes.started(node.readiness());
    tokio::select! {
        () = stop.requested() => node.shutdown().await.map_err(failed),
        // Loudly: what it says is what to do about it.
        error = node.ended() => Err(failed(error)),
        never = keep_fresh(certificates) => match never {},
    }
}

impl NodeArgs {
    pub fn flags(self) -> Flags {
        let bytes = |mib: u64| mib.saturating_mul(MIB);
        let mut flags = Flags::default();
        flags.set("node.data_dir", self.data_dir);
        flags.set("node.listen", self.listen.map(|address| address.to_string()));
        flags.set("node.advertise", self.advertise);
        flags.set("node.name", self.name);
        flags.set_list("node.seeds", &self.seeds);
        flags.set("secret.homeserver_secret_file", self.homeserver_secret_file);
        flags.set_list("pkarr.dht_bootstrap", &self.dht_bootstrap);
        flags.set_list("pkarr.relays", &self.pkarr_relays);
        flags.set("pkarr.republish_interval_s", self.republish_interval_s);
        flags.set("storage.memory_bytes", self.memory_mib.map(bytes));
        flags.set("storage.free_space_min_bytes", self.free_space_min_mib.map(bytes));
        flags.set("limits.attempts_per_second", self.attempts_per_second);
        flags.set("limits.attempts_burst", self.attempts_burst);
        flags.set("probes.listen", self.probe_listen.map(|address| address.to_string()));
        self.tls.set(&mut flags);
        flags
    }
}

fn config(settings: NodeSettings, secret: [u8; 32], certificates: Option<Arc<Certificates>>) -> NodeConfig {
    let NodeSettings { node, secret: _, tls: _, pkarr, storage, objects, raft, limits, probes: _ } = settings;
    let certified = certificates.as_ref().map(|certificates| certificates.subject().name().to_owned());
    let name = node.name.or(certified).unwrap_or_else(|| node.listen.to_string());
    let mut config = NodeConfig::new(node.data_dir, node.listen, &name, secret);
    config.certificates = certificates;
    config.seeds = node.seeds;
    if let Some(advertise) = node.advertise {
        config.advertise = advertise;
    }
    config.pkarr = PkarrConfig {
        bootstrap: pkarr.dht_bootstrap,
        relays: pkarr.relays,
        republish_interval: Duration::from_secs(pkarr.republish_interval_s),
    };
    config.timing.heartbeat_ms = raft.heartbeat_ms;
    config.timing.election_min_ms = raft.election_min_ms;
    config.timing.election_max_ms = raft.election_max_ms;
    config.timing.propose_deadline_ms = raft.propose_deadline_ms;
    config.memory_bytes = storage.memory_bytes;
    config.free_space_min_bytes = storage.free_space_min_bytes;
    config.flush_interval = Duration::from_secs(storage.flush_interval_s);
    config.attempts = AttemptLimits { per_second: limits.attempts_per_second, burst: limits.attempts_burst };
    config.objects = ObjectLimits {
        upload_lifetime: Duration::from_secs(objects.upload_expiry_s),
        garbage_grace: Duration::from_secs(objects.garbage_grace_s),
        orphan_age: Duration::from_secs(objects.orphan_age_s),
        scrub_interval: Duration::from_secs(objects.scrub_interval_s),
    };
    config.gateway_silence_max = Duration::from_secs(pkarr.gateway_silence_max_s);
    config
}
