//! Starts the relay, and runs it until a signal.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use ipnet::IpNet;
use rowhouse_node::PkarrConfig;
use rowhouse_node::network::PkarrNetwork;
use tokio::net::TcpListener;

use super::address::PerAddress;
use super::cache::Cache;
use super::handlers::{Relay, router};
use super::listener::{Bounded, Peer};
use crate::error::Error;
use crate::signals::Stop;

/// Where clients of the public DHT begin.
const BOOTSTRAP: [&str; 4] = [
    "router.bittorrent.com:6881",
    "dht.transmissionbt.com:6881",
    "dht.libtorrent.org:25401",
    "relay.pkarr.org:6881",
];

/// Flags of `rowhouse relay`.
#[derive(clap::Args, Clone, Debug)]
pub struct RelayArgs {
    /// Address to listen on, plain HTTP. Port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:15411")]
    pub listen: SocketAddr,
    /// DHT nodes to begin with, host:port. Without any: those of the public DHT.
    #[arg(long, value_name = "HOST:PORT")]
    pub dht_bootstrap: Vec<String>,
    /// Folder for the packets that went through it: at most 100,000.
    #[arg(long, default_value = ".rowhouse/relay")]
    pub data_dir: PathBuf,
    /// Requests of one address in a second; ten seconds' worth at once. 0: no limit.
    #[arg(long, default_value_t = 10)]
    pub requests_per_second: u32,
    /// Of these, requests that look at the DHT. 0: no limit.
    #[arg(long, default_value_t = 2)]
    pub look_ups_per_second: u32,
    /// Address or network without limits, such as that of the homeserver's nodes. May be given several times.
    #[arg(long, value_name = "IP|NETWORK", value_parser = network)]
    pub trusted: Vec<IpNet>,
}

fn network(text: &str) -> Result<IpNet, String> {
    let of_one = || text.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    text.parse::<IpNet>()
        .or_else(|_| of_one())
        .map_err(|_| "an IP address, or a network such as 10.0.0.0/8".to_owned())
}

/// Runs until a signal asks it to stop. Fails if the address is taken or the folder is of no use.
pub async fn run(args: RelayArgs) -> Result<(), Error> {
    let mut stop = Stop::listen()?;
    let mut dht_bootstrap = args.dht_bootstrap.clone();
    if dht_bootstrap.is_empty() {
        dht_bootstrap = BOOTSTRAP.map(str::to_owned).to_vec();
    }
    let network = PkarrNetwork::new(&PkarrConfig { dht_bootstrap, ..PkarrConfig::default() })
        .map_err(|error| Error::Failed(error.to_string()))?
        .ok_or_else(|| Error::Usage("a relay needs DHT nodes".to_owned()))?;
    let relay = Relay {
        network: Arc::new(network),
        cache: Cache::open(&args.data_dir)?,
        requests: PerAddress::new(args.requests_per_second),
        look_ups: PerAddress::new(args.look_ups_per_second),
        trusted: args.trusted.clone(),
    };
    let taken = |error| Error::Failed(format!("{}: {error}", args.listen));
    let listener = TcpListener::bind(args.listen).await.map_err(taken)?;
    let address = listener.local_addr().map_err(taken)?;
    tracing::info!(%address, "the relay answers");
    let service = router(Arc::new(relay)).into_make_service_with_connect_info::<Peer>();
    axum::serve(Bounded::new(listener), service)
        .with_graceful_shutdown(async move { stop.requested().await })
        .await
        .map_err(Error::failed("serve"))
}
