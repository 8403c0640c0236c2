//! Composition: listeners, the map watch and the announcement, and their end.

use std::net::SocketAddr;
use std::sync::Arc;

use ipnet::IpNet;
use pubky_common::crypto::Keypair;
use rowhouse_peer::Dialer;
use rowhouse_proto::settings::Hidden;
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::Error;
use crate::admin::{self, Admin, Attempts, Board, PublicAddress};
use crate::announce::Announcer;
use crate::app::App;
use crate::cluster::{Cluster, Node, watch};
use crate::config::GatewayConfig;
use crate::feed::Feed;
use crate::feed::Follow;
use crate::layers::TracePolicy;
use crate::limits::RouteLimit;
use crate::listen::{Door, Http, Life, Listener, Tls, bind, proxies};
use crate::metrics;
use crate::router::router;
use crate::settings::Limits;

/// A running gateway. Dropping it stops it without waiting; `shutdown` waits.
pub struct Gateway {
    http_address: SocketAddr,
    tls_address: SocketAddr,
    admin_address: Option<SocketAddr>,
    /// It is about to stop, but serves on until its address is taken back.
    leaving: CancellationToken,
    announcer: Option<Announcer>,
    life: Life,
    limits: Arc<Limits>,
    cluster: Arc<Cluster>,
    failures: mpsc::Receiver<Error>,
}

impl Gateway {
    /// Checks the configuration, binds the listeners and starts to serve. Requests wait until a node has sent the
    /// first map. Fails when the configuration is refused or an address cannot be bound.
    pub async fn start(config: GatewayConfig) -> Result<Self, Error> {
        config.validate()?;
        let route_limits = RouteLimit::all(&config.limits.rate_limits)
            .map_err(|complaints| Error::Config(complaints.join(" ")))?;
        let dialer = Dialer::new(config.certificates.clone());
        for address in &config.gateway.nodes {
            Node::seed(address, &dialer)?;
        }
        let keypair = Keypair::from_secret(&config.homeserver_secret);
        let limits = Arc::new(config.limits.clone());
        let cluster = Arc::new(Cluster::new(&limits, dialer, keypair.public_key()));
        let life = Life::default();
        let follow = Follow::new(Arc::clone(&cluster), life.stop.clone(), life.tasks.clone());
        let trace_policy = TracePolicy::new(
            config.gateway.trace_sources.clone(),
            config.gateway.trace_hashes,
            &config.homeserver_secret,
        );
        let app = Arc::new(App {
            trace_policy: Arc::new(trace_policy),
            cluster: Arc::clone(&cluster),
            feed: Arc::new(Feed::new(Arc::clone(&cluster))),
            follow: Arc::new(follow),
            homeserver: keypair.public_key(),
            websites: config.gateway.websites,
            limits: config.limits.clone(),
            route_limits,
            address_rate: config.limits.address_rate().map_err(Error::Config)?,
        });
        let (http, http_address) = open(config.gateway.http_listen)?;
        let (tls, tls_address) = open(config.gateway.tls_listen)?;
        let admin = config.admin.listen.map(open).transpose()?;
        let (failed, failures) = mpsc::channel(1);
        let mut gateway = Self {
            http_address,
            tls_address,
            admin_address: admin.as_ref().map(|(_, address)| *address),
            leaving: CancellationToken::new(),
            announcer: None,
            life,
            limits: Arc::clone(&limits),
            cluster: Arc::clone(&cluster),
            failures,
        };
        let watching = watch(Arc::clone(&cluster), config.gateway.nodes.clone(), gateway.life.stop.clone());
        gateway.life.tasks.spawn(watched(watching, failed));
        let connections = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
        metrics::observe(&cluster, &connections, &limits);
        let speaking = Http::new(router(Arc::clone(&app)), Arc::clone(&limits));
        let identity = Tls::new(keypair.as_inner(), limits.handshake_timeout_s);
        let door = |http, tls, networks: &[IpNet]| Door {
            http,
            tls,
            proxies: proxies(networks),
            connections: Arc::clone(&connections),
            life: gateway.life.clone(),
        };
        gateway.listen(http, door(speaking.clone(), None, &config.gateway.http_proxies));
        gateway.listen(tls, door(speaking, Some(identity), &config.gateway.tls_proxies));
        let address = gateway.public_address(&config);
        if let Some((socket, _)) = admin {
            gateway.listen_admin(socket, app, &config, address.clone(), limits);
        }
        if config.gateway.announce {
            if address.ip.to_canonical().is_loopback() && !config.gateway.development {
                tracing::warn!(
                    public_ip = %address.ip,
                    "the homeserver's record will name a loopback address, at which no other machine finds this \
                     gateway: set gateway.public_ip (--public-ip), or --no-announce"
                );
            }
            let request = announcement(&address);
            let own = [gateway.http_address, gateway.tls_address];
            let (leaving, end) = (gateway.leaving.clone(), gateway.life.end.clone());
            gateway.announcer = Some(Announcer::start(cluster, own, request, leaving, end));
        }
        tracing::info!(http = %http_address, tls = %tls_address, "gateway listens");
        Ok(gateway)
    }

    /// Where plain HTTP is served; the port is the bound one.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    /// Where Pubky TLS is served; the port is the bound one.
    pub fn tls_address(&self) -> SocketAddr {
        self.tls_address
    }

    /// Where the admin listener is; `None` if the configuration has none.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin_address
    }

    /// Why this gateway can never serve; pending while it may.
    pub async fn ended(&mut self) -> Error {
        match self.failures.recv().await {
            Some(error) => error,
            None => std::future::pending().await,
        }
    }

    /// For a readiness probe: why this gateway should not be counted on; empty if it should.
    pub fn readiness(&self) -> impl Fn() -> Vec<String> + Send + Sync + 'static {
        let (leaving, cluster) = (self.leaving.clone(), Arc::clone(&self.cluster));
        move || {
            let mut reasons = Vec::new();
            if leaving.is_cancelled() {
                reasons.push("stopping".to_owned());
            }
            if cluster.map_now().is_none() {
                reasons.push("no node has sent the cluster's map yet".to_owned());
            }
            reasons
        }
    }

    /// Takes its address back while it still serves, then closes its ports. Gives every open connection one more
    /// answer, lets requests in flight end, and drops the rest.
    pub async fn shutdown(self) {
        self.leaving.cancel();
        if let Some(announcer) = &self.announcer {
            announcer.left().await;
        }
        self.life.stop.cancel();
        self.life.tasks.close();
        if tokio::time::timeout(self.limits.idle_linger_s, self.life.tasks.wait()).await.is_ok() {
            return;
        }
        self.life.idle.cancel();
        if tokio::time::timeout(self.limits.shutdown_timeout_s, self.life.tasks.wait()).await.is_err() {
            tracing::warn!(left = self.life.tasks.len(), "requests did not end in time");
        }
    }

    fn listen(&self, socket: TcpListener, door: Door) {
        self.life.tasks.spawn(Listener { socket, door }.run());
    }

    /// Its connections are counted apart, so that operators get in when clients fill the gateway.
    fn listen_admin(
        &self,
        socket: TcpListener,
        app: Arc<App>,
        config: &GatewayConfig,
        address: PublicAddress,
        limits: Arc<Limits>,
    ) {
        /// A dashboard and a few scripts.
        const ADMIN_CONNECTIONS_MAX: usize = 64;
        let password = config.admin.password.as_ref().map_or("", Hidden::expose).to_owned();
        let board = Board::new(Arc::clone(&app.cluster));
        let admin = Arc::new(Admin { app, password, address, attempts: Attempts::default(), board });
        let http = Http::new(admin::router(admin), limits);
        let connections = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        self.listen(socket, Door { http, tls: None, proxies: None, connections, life: self.life.clone() });
    }

    fn public_address(&self, config: &GatewayConfig) -> PublicAddress {
        PublicAddress {
            ip: config.public_ip(),
            tls_port: config.gateway.public_tls_port.unwrap_or_else(|| self.tls_address.port()),
            http_port: config.gateway.public_http_port.unwrap_or_else(|| self.http_address.port()),
            icann_domain: config.gateway.icann_domain.clone(),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.life.stop.cancel();
        self.life.end.cancel();
    }
}

fn open(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let socket = bind(address)?;
    let bound = socket.local_addr().map_err(|source| Error::Listen { address, source })?;
    Ok((socket, bound))
}

async fn watched(watching: impl Future<Output = Result<(), Error>>, failed: mpsc::Sender<Error>) {
    if let Err(error) = watching.await {
        tracing::error!(%error, "this gateway cannot serve");
        // Nobody listens once it stops.
        let _stopping = failed.try_send(error);
    }
}

fn announcement(address: &PublicAddress) -> AnnounceGatewayRequest {
    AnnounceGatewayRequest {
        public_ip: address.ip.to_string(),
        tls_port: address.tls_port.into(),
        http_port: address.http_port.into(),
        icann_domain: address.icann_domain.clone().unwrap_or_default(),
        leaving: false,
    }
}
