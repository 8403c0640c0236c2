//! `rowhouse gateway`: flags into a configuration, then a running gateway until a signal.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use rowhouse_gateway::{Gateway, GatewayConfig};

use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::signals::Stop;

#[derive(clap::Args, Clone, Debug)]
pub struct GatewayArgs {
    /// Address for plain HTTP.
    #[arg(long)]
    http_listen: SocketAddr,
    /// Address for Pubky TLS (the homeserver's raw public key).
    #[arg(long)]
    tls_listen: SocketAddr,
    /// Address of the admin listener; absent: none.
    #[arg(long, requires = "admin_password")]
    admin_listen: Option<SocketAddr>,
    /// Password of the admin listener.
    #[arg(long, env = "ROWHOUSE_ADMIN_PASSWORD", hide_env_values = true)]
    admin_password: Option<String>,
    /// File with the homeserver's secret key: 64 hexadecimal digits.
    #[arg(long)]
    homeserver_secret_file: PathBuf,
    /// host:port of a storage node; may be given several times, the others are learned.
    #[arg(long = "node", required = true)]
    nodes: Vec<String>,
    /// Address clients reach this gateway at, for the homeserver's record; the TLS listener's if absent.
    #[arg(long)]
    public_ip: Option<IpAddr>,
    /// Pubky TLS port clients reach; the listener's if absent.
    #[arg(long)]
    public_tls_port: Option<u16>,
    /// HTTP port clients reach; the listener's if absent.
    #[arg(long)]
    public_http_port: Option<u16>,
    /// Address for startup, liveness and readiness probes over HTTP; absent: none.
    #[arg(long)]
    probe_listen: Option<SocketAddr>,
    /// Domain name for browsers.
    #[arg(long)]
    icann_domain: Option<String>,
    /// Keep this gateway out of the homeserver's record.
    #[arg(long)]
    no_announce: bool,
    /// Requests that may wait for storage nodes at once; more are told to come back.
    #[arg(long)]
    requests_max: Option<usize>,
    /// A development cluster: the password `admin` is accepted.
    #[arg(long)]
    development: bool,
}

pub async fn run(args: GatewayArgs) -> Result<(), Error> {
    let probe_listen = args.probe_listen;
    let config = config(args)?;
    config.validate().map_err(|error| Error::Usage(error.to_string()))?;
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(probe_listen).await?;
    let gateway = Gateway::start(config).await.map_err(|error| Error::Failed(error.to_string()))?;
    probes.started(gateway.readiness());
    stop.requested().await;
    gateway.shutdown().await;
    Ok(())
}

fn config(args: GatewayArgs) -> Result<GatewayConfig, Error> {
    let mut config = GatewayConfig::new(secret::read(&args.homeserver_secret_file)?, args.nodes);
    config.http_listen = args.http_listen;
    config.tls_listen = args.tls_listen;
    config.admin_listen = args.admin_listen;
    config.admin_password = args.admin_password.unwrap_or_default();
    config.development = args.development;
    config.public_ip = args.public_ip.unwrap_or_else(|| args.tls_listen.ip());
    config.public_tls_port = args.public_tls_port;
    config.public_http_port = args.public_http_port;
    config.icann_domain = args.icann_domain;
    config.announce = !args.no_announce;
    config.limits.requests_max = args.requests_max.unwrap_or(config.limits.requests_max);
    Ok(config)
}
