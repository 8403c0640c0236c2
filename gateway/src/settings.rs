//! The settings of a gateway: one row a key. [`crate::GatewayConfig`] holds the sections as they are.
//!
//! The sections that only the binary needs ([secret], [tls], [probes]) are in server/src/settings/shared.rs.
//! docs/how-to/add-a-setting.md explains the rows.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use rowhouse_peer::{Audience, exposure};
use rowhouse_proto::domain::quota::parse_bandwidth;
use rowhouse_proto::settings::{Hidden, Kind, seconds};
use rowhouse_proto::wire::shard::BandwidthRate;
use rowhouse_proto::{CHUNK_BYTES, INLINE_BODY_BYTES_MAX, section};

use crate::limits::{RateLimit, RouteLimit};

/// More than a process may have open files on any machine we know.
const CONNECTIONS_MAX: u64 = 1_000_000;
const REQUESTS_MAX: u64 = 1_000_000;
/// No machine has more memory.
const BYTES_MAX: u64 = 1 << 50;
/// An operator who wants more wants no limit, and there is always one.
const TIMEOUT_S_MAX: u64 = 3600;
const TIMEOUT: Kind = Kind::seconds(1, TIMEOUT_S_MAX);
/// Half of the 120 s for which a shard knows the outcome of a request id (ARCHITECTURE.md, Invariants).
const RETRY_TIMEOUT_S_MAX: u64 = 60;

section! {
    /// Where a gateway listens, what it tells the world, and where it finds nodes.
    pub struct GatewaySection: "gateway" {
        /// Clients may come from other machines.
        http_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6286)), Kind::Address,
            "Address for plain HTTP. Port 0 takes a free one.", required(), flag("--http-listen");
        tls_listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6287)), Kind::Address,
            "Address for Pubky TLS (the homeserver's raw public key).", required(), flag("--tls-listen");
        nodes: Vec<String> = vec!["127.0.0.1:6301".into()], Kind::HOST_PORTS,
            "Some storage nodes; the others are learned from the cluster's map.", required(), flag("--node");
        public_ip: Option<IpAddr> = None, Kind::Ip,
            "Address clients reach this gateway at, for the homeserver's record.",
            unset("that of `gateway.tls_listen`, unless that is 0.0.0.0 or ::"), flag("--public-ip");
        public_tls_port: Option<u16> = None, Kind::Port, "Pubky TLS port clients reach.",
            unset("that of the TLS listener"), flag("--public-tls-port");
        public_http_port: Option<u16> = None, Kind::Port, "HTTP port clients reach.",
            unset("that of the HTTP listener"), flag("--public-http-port");
        icann_domain: Option<String> = None, Kind::Domain,
            "Domain name for browsers, for the homeserver's record.",
            unset("no domain"), flag("--icann-domain");
        announce: bool = true, Kind::Bool,
            "Whether this gateway's address enters the homeserver's record. The flag says false.",
            flag_off("--no-announce");
        websites: bool = true, Kind::Bool,
            "Whether users' websites are served, by their Host. The flag says false.",
            flag_off("--no-websites");
        trace_sources: Vec<IpNet> = Vec::new(), Kind::List(&Kind::Network),
            "Clients whose `traceparent` header is honoured; with others a trace begins here.",
            flag("--trace-source");
        trace_hashes: bool = false, Kind::Bool,
            "Whether spans have hashes of users and paths instead of themselves. The flag says true.",
            flag("--trace-hashes");
        http_proxies: Vec<IpNet> = Vec::new(), Kind::List(&Kind::Network),
            "Load balancers before the HTTP listener. If any, each connection must come from one of them and begin \
             with a PROXY header that names its client.",
            flag("--http-proxy");
        tls_proxies: Vec<IpNet> = Vec::new(), Kind::List(&Kind::Network),
            "The same for the Pubky TLS listener. The PROXY header comes before the TLS handshake.",
            flag("--tls-proxy");
        development: bool = false, Kind::Bool,
            "A development cluster: the admin password `admin` is accepted, and the testnet's key beyond loopback.",
            flag("--development");
    }
}

impl GatewaySection {
    /// Offences of the client listeners against the rule of who may be reached, each a sentence.
    pub fn exposures(&self) -> impl Iterator<Item = String> {
        let listeners = [("gateway.http_listen", self.http_listen), ("gateway.tls_listen", self.tls_listen)];
        listeners.into_iter().filter_map(|(key, address)| exposure(key, address, Audience::Clients))
    }
}

section! {
    /// The admin listener and its password, which is given in one of two ways.
    pub struct AdminConfig: "admin" {
        listen: Option<SocketAddr> = None, Kind::Address, "Address of the admin listener.",
            unset("no admin listener"), flag("--admin-listen");
        password: Option<Hidden> = None, Kind::Secret,
            "Password of the admin listener. The flag shows in the list of processes: prefer the file.",
            unset("taken from `admin.password_file`"), flag("--admin-password");
        /// The process that composes the gateway reads the file into `password`.
        password_file: Option<PathBuf> = None, Kind::Path,
            "File whose one line is the password of the admin listener, readable by its owner, and its group at most.",
            unset("taken from `admin.password`"), flag("--admin-password-file");
        behind_proxy: bool = false, Kind::Bool,
            "A proxy with TLS stands before the admin listener and nobody else reaches it: it may leave loopback.",
            flag("--admin-behind-proxy");
    }
}

impl AdminConfig {
    /// The offence of the listener against the rule of who may be reached, a sentence.
    pub fn exposure(&self) -> Option<String> {
        exposure("admin.listen", self.listen?, Audience::Admin { behind_proxy: self.behind_proxy })
    }

    /// The offence against the rule over its three keys, a sentence.
    pub fn complaint(&self) -> Option<String> {
        match (self.listen, &self.password, &self.password_file) {
            (_, Some(_), Some(_)) => {
                Some("`admin.password` and `admin.password_file` are both set; remove one.".into())
            }
            (Some(listen), None, None) => Some(format!(
                "the admin listener {listen} has no password: set `admin.password_file` (--admin-password-file) \
                 or `admin.password` (ROWHOUSE_ADMIN__PASSWORD), or leave out `admin.listen`."
            )),
            _ => None,
        }
    }
}

section! {
    /// Every bound a client can run into.
    pub struct Limits: "limits" {
        /// 10 000 idle connections are ordinary (a client keeps one per user it reads), so twice that.
        connections_max: usize = 20_000, Kind::number("connections", 1, CONNECTIONS_MAX),
            "Open client connections; more are closed at once.";
        /// Ten times what two cores can serve in the time a client waits.
        requests_max: usize = 4_096, Kind::number("requests", 1, REQUESTS_MAX),
            "Requests waiting for a shard; more are answered 503.", flag("--requests-max");
        /// 1 024 of the largest inline bodies.
        body_bytes_max: usize = 64 * 1024 * 1024, Kind::bytes(INLINE_BODY_BYTES_MAX as u64, BYTES_MAX),
            "Request and response bodies held at once; more are answered 503.";
        /// Chunks wait for their turn, so this bounds memory and not clients: 128 chunks, two for each of 64
        /// transfers at full speed.
        chunk_bytes_max: usize = 128 * 1024 * 1024, Kind::bytes(CHUNK_BYTES as u64, BYTES_MAX),
            "Chunks of bodies over 64 KiB held at once; more wait, for at most `body_timeout_s`.";
        /// Signup tokens can be guessed: nobody looks up many of them.
        rate_limits: Vec<RateLimit> = RateLimit::defaults(),
            Kind::Tables("path, method, quota and key, and perhaps burst and whitelist"),
            "Requests that one address or user may make, by method and path. All that match count, once for the cluster.",
            flag("--rate-limits");
        unauthenticated_ip_rate_read: Option<String> = None, Kind::Text,
            "Bandwidth of the files and listings that one address reads without a session, such as `1mb/s`.",
            unset("no limit");
        head_timeout_s: Duration as "seconds" = Duration::from_secs(15), TIMEOUT,
            "Time from the first byte of a request head to its last.";
        /// The SDK's pool keeps a connection for 90 s. The client must close first, so that no request meets a
        /// closing socket.
        idle_timeout_s: Duration as "seconds" = Duration::from_secs(100), TIMEOUT,
            "Time between requests of a connection. SDKs keep theirs for 90 s and should close first.";
        /// Whoever disappears blocks a path for so long. Shards grant no more than an hour.
        lock_timeout_s: Duration as "seconds" = Duration::from_secs(60), TIMEOUT,
            "Longest time to live of a lock, which clients may refresh.";
        /// An upload in chunks also ends when there is no room for its next chunk for this long.
        body_timeout_s: Duration as "seconds" = Duration::from_secs(30), TIMEOUT,
            "Time for a whole request body; for a body over 64 KiB, the time without a byte.";
        write_timeout_s: Duration as "seconds" = Duration::from_secs(30), TIMEOUT,
            "Close the connection when the client accepts no byte for this long, or when one MiB takes it more than \
             four times this long.";
        /// Two round trips, generously.
        handshake_timeout_s: Duration as "seconds" = Duration::from_secs(10), TIMEOUT,
            "Time for a TLS handshake.";
        /// See docs/rules/consensus.md#a-request-applies-once.
        retry_timeout_s: Duration as "seconds" = Duration::from_secs(30), Kind::seconds(1, RETRY_TIMEOUT_S_MAX),
            "Time from the arrival of a request until it is no longer retried.";
        /// Twice the time for which a gateway retries: whoever still works on a signup has ended by then.
        signup_reservation_s: Duration as "seconds" = Duration::from_secs(60), TIMEOUT,
            "Time for which a signup token is kept for a user whose signup broke off, before another user gets it.";
        map_timeout_s: Duration as "seconds" = Duration::from_secs(5), TIMEOUT,
            "Time for which a request that arrives before the first map waits for it.";
        idle_linger_s: Duration as "seconds" = Duration::from_secs(3), Kind::seconds(0, TIMEOUT_S_MAX),
            "Time for which a stopping gateway answers requests on open connections, one last request each.";
        shutdown_timeout_s: Duration as "seconds" = Duration::from_secs(5), TIMEOUT,
            "Time that requests in flight then have to end.";
    }
}

impl Limits {
    /// Offences against the rules of the limits themselves, each a sentence.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = RouteLimit::all(&self.rate_limits).err().unwrap_or_default();
        if let Err(why) = self.address_rate() {
            complaints.push(format!("`limits.unauthenticated_ip_rate_read`: {why}."));
        }
        complaints
    }

    /// The bandwidth of an address without a session. Fails, with what is wrong, on text that is no rate.
    pub fn address_rate(&self) -> Result<Option<BandwidthRate>, String> {
        let rate = self.unauthenticated_ip_rate_read.as_deref();
        rate.map(|rate| parse_bandwidth(rate, None)).transpose()
    }
}
