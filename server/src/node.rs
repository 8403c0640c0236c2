//! `rowhouse node`: flags into a configuration, then a running storage node until a signal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rowhouse_node::{Node, NodeConfig, PkarrConfig};

use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::signals::Stop;

/// One MiB: the unit of the memory and space flags.
const MIB: u64 = 1024 * 1024;

#[derive(clap::Args, Clone, Debug)]
pub struct NodeArgs {
    /// Folder of this node's log and state. One node, one folder.
    #[arg(long)]
    data_dir: PathBuf,
    /// Address to listen on, for gateways and other nodes; loopback only until mTLS is there.
    #[arg(long)]
    listen: SocketAddr,
    /// host:port at which others reach this node; the listening address if absent.
    #[arg(long)]
    advertise: Option<String>,
    /// Name shown to people; the listening address if absent.
    #[arg(long)]
    name: Option<String>,
    /// File with the homeserver's secret key: 64 hexadecimal digits.
    #[arg(long)]
    homeserver_secret_file: PathBuf,
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
}

pub async fn run(args: NodeArgs) -> Result<(), Error> {
    let probe_listen = args.probe_listen;
    let config = config(args)?;
    config.validate().map_err(|error| Error::Usage(error.to_string()))?;
    let failed = |error: rowhouse_node::Error| Error::Failed(error.to_string());
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(probe_listen).await?;
    let mut node = tokio::select! {
        started = Node::start(config) => started.map_err(failed)?,
        () = stop.requested() => return Ok(()),
    };
    probes.started(node.readiness());
    tokio::select! {
        () = stop.requested() => node.shutdown().await.map_err(failed),
        // Loudly: what it says is what to do about it.
        error = node.ended() => Err(failed(error)),
    }
}

fn config(args: NodeArgs) -> Result<NodeConfig, Error> {
    let homeserver_secret = secret::read(&args.homeserver_secret_file)?;
    let name = args.name.unwrap_or_else(|| args.listen.to_string());
    let mut config = NodeConfig::new(args.data_dir, args.listen, &name, homeserver_secret);
    config.seeds = args.seeds;
    config.pkarr =
        PkarrConfig { bootstrap: args.dht_bootstrap, relays: args.pkarr_relays, ..PkarrConfig::default() };
    if let Some(advertise) = args.advertise {
        config.advertise = advertise;
    }
    if let Some(seconds) = args.republish_interval_s {
        config.pkarr.republish_interval = Duration::from_secs(seconds);
    }
    if let Some(mib) = args.memory_mib {
        config.memory_bytes = mib.saturating_mul(MIB);
    }
    if let Some(mib) = args.free_space_min_mib {
        config.free_space_min_bytes = mib.saturating_mul(MIB);
    }
    config.attempts.per_second = args.attempts_per_second.unwrap_or(config.attempts.per_second);
    config.attempts.burst = args.attempts_burst.unwrap_or(config.attempts.burst);
    Ok(config)
}
