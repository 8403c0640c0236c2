//! `rowhouse gateway`: settings into a configuration, then a running gateway until a signal.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use rowhouse_gateway::{Gateway, GatewayConfig, Limits};
use rowhouse_peer::Role;

use crate::certificates::{self, keep_fresh};
use crate::error::Error;
use crate::probes::Probes;
use crate::secret;
use crate::settings::{ConfigArgs, Flags, GatewaySettings, Hidden, LimitsSection, TlsFlags};
use crate::signals::Stop;

#[derive(clap::Args, Clone, Debug)]
pub struct GatewayArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Address for plain HTTP. No listener is beyond loopback without certificates (--tls-cert).
    #[arg(long)]
    http_listen: Option<SocketAddr>,
    /// Address for Pubky TLS (the homeserver's raw public key).
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// Address of the admin listener; absent: none.
    #[arg(long)]
    admin_listen: Option<SocketAddr>,
    /// Password of the admin listener; it shows in the list of processes.
    #[arg(long)]
    admin_password: Option<Hidden>,
    /// File with the password of the admin listener.
    #[arg(long, value_name = "PATH", conflicts_with = "admin_password")]
    admin_password_file: Option<String>,
    /// File with the homeserver's secret key: 64 hexadecimal digits.
    #[arg(long, value_name = "PATH")]
    homeserver_secret_file: Option<String>,
    /// host:port of a storage node; may be given several times, the others are learned.
    #[arg(long = "node")]
    nodes: Vec<String>,
    /// Address clients reach this gateway at, for the homeserver's record; the TLS listener's if absent. Needed
    /// where that is 0.0.0.0 or ::.
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
    requests_max: Option<u64>,
    /// A development cluster: the password `admin` is accepted, and the testnet's key beyond loopback.
    #[arg(long)]
    development: bool,
    /// Towards the nodes; clients are shown the homeserver's own key.
    #[command(flatten)]
    tls: TlsFlags,
}

pub async fn run(args: GatewayArgs) -> Result<(), Error> {
    let print = args.config.print_config;
    let loaded = args.config.clone().load::<GatewaySettings>(args.flags())?;
    let settings = loaded.settings.clone();
    let usage = |error: rowhouse_gateway::Error| Error::Usage(error.to_string());
    if print {
        let secrets = Secrets::withheld(&settings);
        config(settings, secrets).validate_values().map_err(usage)?;
        return loaded.print();
    }
    let secrets = Secrets::read(&settings)?;
    let certificates = certificates::open(&settings.tls, Role::Gateway)?;
    let mut config = config(settings, secrets);
    config.certificates = certificates.clone();
    config.validate().map_err(usage)?;
    let mut stop = Stop::listen()?;
    let probes = Probes::listen(loaded.settings.probes.listen).await?;
    let mut gateway = Gateway::start(config).await.map_err(|error| Error::Failed(error.to_string()))?;
    probes.started(gateway.readiness());
    let ended = tokio::select! {
        () = stop.requested() => Ok(()),
        // Starting again with the same secret and nodes would not help.
        error = gateway.ended() => Err(usage(error)),
        never = keep_fresh(certificates) => match never {},
    };
    gateway.shutdown().await;
    ended
}

impl GatewayArgs {
    pub fn flags(self) -> Flags {
        let text = |address: SocketAddr| address.to_string();
        let mut flags = Flags::default();
        flags.set("gateway.http_listen", self.http_listen.map(text));
        flags.set("gateway.tls_listen", self.tls_listen.map(text));
        flags.set_list("gateway.nodes", &self.nodes);
        flags.set("gateway.public_ip", self.public_ip.map(|ip| ip.to_string()));
        flags.set("gateway.public_tls_port", self.public_tls_port);
        flags.set("gateway.public_http_port", self.public_http_port);
        flags.set("gateway.icann_domain", self.icann_domain);
        flags.set("gateway.announce", self.no_announce.then_some(false));
        flags.set("gateway.development", self.development.then_some(true));
        flags.set("secret.homeserver_secret_file", self.homeserver_secret_file);
        flags.set("admin.listen", self.admin_listen.map(text));
        flags.set("admin.password", self.admin_password.as_ref().map(Hidden::expose));
        flags.set("admin.password_file", self.admin_password_file);
        flags.set("limits.requests_max", self.requests_max);
        flags.set("probes.listen", self.probe_listen.map(text));
        self.tls.set(&mut flags);
        flags
    }
}

struct Secrets {
    homeserver: [u8; 32],
    admin_password: String,
}

impl Secrets {
    fn read(settings: &GatewaySettings) -> Result<Self, Error> {
        let admin_password = match (&settings.admin.password, &settings.admin.password_file) {
            (Some(password), _) => password.expose().to_owned(),
            (None, Some(file)) => secret::read_password(file)?,
            (None, None) => String::new(),
        };
        Ok(Self { homeserver: secret::read(&settings.secret.homeserver_secret_file)?, admin_password })
    }

    /// When the configuration is only looked at, no secret file needs to be there.
    fn withheld(settings: &GatewaySettings) -> Self {
        let password = settings.admin.password.as_ref();
        let admin_password = password.map_or_else(|| "withheld".into(), |password| password.expose().into());
        Self { homeserver: [0; 32], admin_password }
    }
}

fn config(settings: GatewaySettings, secrets: Secrets) -> GatewayConfig {
    let GatewaySettings { gateway, secret: _, tls: _, admin, limits: bounds, probes: _ } = settings;
    let mut config = GatewayConfig::new(secrets.homeserver, gateway.nodes);
    config.http_listen = gateway.http_listen;
    config.tls_listen = gateway.tls_listen;
    config.admin_listen = admin.listen;
    config.admin_password = secrets.admin_password;
    config.development = gateway.development;
    config.public_ip = gateway.public_ip.unwrap_or_else(|| gateway.tls_listen.ip());
    config.public_tls_port = gateway.public_tls_port;
    config.public_http_port = gateway.public_http_port;
    config.icann_domain = gateway.icann_domain;
    config.announce = gateway.announce;
    config.limits = limits(&bounds);
    config
}

fn limits(bounds: &LimitsSection) -> Limits {
    Limits {
        connections_max: bounds.connections_max,
        requests_max: bounds.requests_max,
        body_bytes_max: bounds.body_bytes_max,
        chunk_bytes_max: bounds.chunk_bytes_max,
        head_timeout: Duration::from_secs(bounds.head_timeout_s),
        idle_timeout: Duration::from_secs(bounds.idle_timeout_s),
        body_timeout: Duration::from_secs(bounds.body_timeout_s),
        write_timeout: Duration::from_secs(bounds.write_timeout_s),
        handshake_timeout: Duration::from_secs(bounds.handshake_timeout_s),
        retry_timeout: Duration::from_secs(bounds.retry_timeout_s),
        map_timeout: Duration::from_secs(bounds.map_timeout_s),
        idle_linger: Duration::from_secs(bounds.idle_linger_s),
        shutdown_timeout: Duration::from_secs(bounds.shutdown_timeout_s),
    }
}
