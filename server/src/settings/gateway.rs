//! The settings of `rowhouse gateway`.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use rowhouse_gateway::Limits;
use rowhouse_proto::{CHUNK_BYTES, INLINE_BODY_BYTES_MAX};
use serde::{Deserialize, Serialize};

use super::hidden::Hidden;
use super::key::{Key, Kind, key};
use super::load::Settings;
use super::shared::{
    HOMESERVER_SECRET_FILE, HOST_PORTS, PROBES_LISTEN, ProbesSection, SecretSection, TLS_CA, TLS_CERT,
    TLS_KEY, TlsSection,
};

/// More than a process may have open files on any machine we know.
const CONNECTIONS_MAX: u64 = 1_000_000;
const REQUESTS_MAX: u64 = 1_000_000;
/// No machine has more memory.
const BYTES_MAX: u64 = 1 << 50;
/// Whoever wants more wants no limit, and there is always one.
const TIMEOUT_S_MAX: u64 = 3600;
/// Half of the 120 s for which a shard knows the outcome of a request id (ARCHITECTURE.md, Invariants).
const RETRY_TIMEOUT_S_MAX: u64 = 60;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySettings {
    pub gateway: GatewaySection,
    pub secret: SecretSection,
    #[serde(default)]
    pub tls: TlsSection,
    #[serde(default)]
    pub admin: AdminSection,
    #[serde(default)]
    pub limits: LimitsSection,
    #[serde(default)]
    pub probes: ProbesSection,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GatewaySection {
    pub http_listen: SocketAddr,
    pub tls_listen: SocketAddr,
    pub nodes: Vec<String>,
    pub public_ip: Option<IpAddr>,
    pub public_tls_port: Option<u16>,
    pub public_http_port: Option<u16>,
    pub icann_domain: Option<String>,
    #[serde(default = "announce")]
    pub announce: bool,
    #[serde(default)]
    pub development: bool,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdminSection {
    pub listen: Option<SocketAddr>,
    pub password: Option<Hidden>,
    pub password_file: Option<PathBuf>,
}

/// The fields are those of the gateway's `Limits`, which explains each default.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct LimitsSection {
    pub connections_max: usize,
    pub requests_max: usize,
    pub body_bytes_max: usize,
    pub chunk_bytes_max: usize,
    pub head_timeout_s: u64,
    pub idle_timeout_s: u64,
    pub body_timeout_s: u64,
    pub write_timeout_s: u64,
    pub handshake_timeout_s: u64,
    pub retry_timeout_s: u64,
    pub map_timeout_s: u64,
    pub idle_linger_s: u64,
    pub shutdown_timeout_s: u64,
}

fn announce() -> bool {
    true
}

impl Default for LimitsSection {
    fn default() -> Self {
        let limits = Limits::default();
        Self {
            connections_max: limits.connections_max,
            requests_max: limits.requests_max,
            body_bytes_max: limits.body_bytes_max,
            chunk_bytes_max: limits.chunk_bytes_max,
            head_timeout_s: limits.head_timeout.as_secs(),
            idle_timeout_s: limits.idle_timeout.as_secs(),
            body_timeout_s: limits.body_timeout.as_secs(),
            write_timeout_s: limits.write_timeout.as_secs(),
            handshake_timeout_s: limits.handshake_timeout.as_secs(),
            retry_timeout_s: limits.retry_timeout.as_secs(),
            map_timeout_s: limits.map_timeout.as_secs(),
            idle_linger_s: limits.idle_linger.as_secs(),
            shutdown_timeout_s: limits.shutdown_timeout.as_secs(),
        }
    }
}

impl Settings for GatewaySettings {
    const PROCESS: &'static str = "gateway";
    const KEYS: &'static [Key] = KEYS;

    fn complaints(&self) -> Vec<String> {
        let mut complaints = self.tls.complaints(&[
            ("gateway.http_listen", Some(self.gateway.http_listen)),
            ("gateway.tls_listen", Some(self.gateway.tls_listen)),
            ("admin.listen", self.admin.listen),
        ]);
        complaints.extend(self.admin.complaint());
        complaints
    }
}

impl AdminSection {
    fn complaint(&self) -> Option<String> {
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

const TIMEOUT_S: Kind = Kind::Number { unit: "seconds", min: 1, max: TIMEOUT_S_MAX };

pub const KEYS: &[Key] = &[
    key("gateway.http_listen", Kind::Address, "Address for plain HTTP. Port 0 takes a free one.")
        .required("127.0.0.1:6286")
        .flag("--http-listen"),
    key("gateway.tls_listen", Kind::Address, "Address for Pubky TLS (the homeserver's raw public key).")
        .required("127.0.0.1:6287")
        .flag("--tls-listen"),
    key("gateway.nodes", HOST_PORTS, "Some storage nodes; the others are learned from the cluster's map.")
        .required("127.0.0.1:6301")
        .flag("--node"),
    key("gateway.public_ip", Kind::Ip, "Address clients reach this gateway at, for the homeserver's record.")
        .unset("that of `gateway.tls_listen`, unless that is 0.0.0.0 or ::")
        .flag("--public-ip"),
    key("gateway.public_tls_port", Kind::Port, "Pubky TLS port clients reach.")
        .unset("that of the TLS listener")
        .flag("--public-tls-port"),
    key("gateway.public_http_port", Kind::Port, "HTTP port clients reach.")
        .unset("that of the HTTP listener")
        .flag("--public-http-port"),
    key("gateway.icann_domain", Kind::Domain, "Domain name for browsers, for the homeserver's record.")
        .unset("no domain")
        .flag("--icann-domain"),
    key(
        "gateway.announce",
        Kind::Bool,
        "Whether this gateway's address enters the homeserver's record. The flag says false.",
    )
    .flag("--no-announce"),
    key(
        "gateway.development",
        Kind::Bool,
        "A development cluster: the admin password `admin` is accepted, and the testnet's key beyond loopback.",
    )
    .flag("--development"),
    HOMESERVER_SECRET_FILE,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
    key("admin.listen", Kind::Address, "Address of the admin listener.")
        .unset("no admin listener")
        .flag("--admin-listen"),
    key(
        "admin.password",
        Kind::Secret,
        "Password of the admin listener. The flag shows in the list of processes: prefer the file.",
    )
    .unset("taken from `admin.password_file`")
    .flag("--admin-password"),
    key(
        "admin.password_file",
        Kind::Path,
        "File whose one line is the password of the admin listener, readable by its owner, and its group at most.",
    )
    .unset("taken from `admin.password`")
    .flag("--admin-password-file"),
    key(
        "limits.connections_max",
        Kind::Number { unit: "connections", min: 1, max: CONNECTIONS_MAX },
        "Open client connections; more are closed at once.",
    ),
    key(
        "limits.requests_max",
        Kind::Number { unit: "requests", min: 1, max: REQUESTS_MAX },
        "Requests waiting for a shard; more are answered 503.",
    )
    .flag("--requests-max"),
    key(
        "limits.body_bytes_max",
        Kind::Number { unit: "bytes", min: INLINE_BODY_BYTES_MAX as u64, max: BYTES_MAX },
        "Request and response bodies held at once; more are answered 503.",
    ),
    key(
        "limits.chunk_bytes_max",
        Kind::Number { unit: "bytes", min: CHUNK_BYTES as u64, max: BYTES_MAX },
        "Chunks of bodies over 64 KiB held at once; more wait, for at most `body_timeout_s`.",
    ),
    key("limits.head_timeout_s", TIMEOUT_S, "From the first byte of a request head to its last."),
    key(
        "limits.idle_timeout_s",
        TIMEOUT_S,
        "Between requests of a connection. SDKs keep theirs for 90 s and should close first.",
    ),
    key(
        "limits.body_timeout_s",
        TIMEOUT_S,
        "A whole request body; of one over 64 KiB, the time without a byte.",
    ),
    key(
        "limits.write_timeout_s",
        TIMEOUT_S,
        "A client that takes no byte of a response for this long is gone, or lets a MiB wait for four times this.",
    ),
    key("limits.handshake_timeout_s", TIMEOUT_S, "A TLS handshake."),
    key(
        "limits.retry_timeout_s",
        Kind::Number { unit: "seconds", min: 1, max: RETRY_TIMEOUT_S_MAX },
        "From the arrival of a request until it is no longer retried.",
    ),
    key(
        "limits.map_timeout_s",
        TIMEOUT_S,
        "A request that arrives before the first map waits this long for it.",
    ),
    key(
        "limits.idle_linger_s",
        Kind::Number { unit: "seconds", min: 0, max: TIMEOUT_S_MAX },
        "A stopping gateway answers what is asked on open connections for this long, each time as the last.",
    ),
    key("limits.shutdown_timeout_s", TIMEOUT_S, "Then requests in flight have this long to end."),
    PROBES_LISTEN,
];
