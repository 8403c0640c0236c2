//! Every key of pubky-homeserver 0.17, and what becomes of it here. A key that takes more than another name is
//! judged in `judge.rs`.

use super::asked::Asked;
use super::fate::Fate;
use super::judge::{
    admin_enabled, admin_listen, admin_password, bootstrap, database_quota, domain, icann_identity, level,
    metrics_enabled, metrics_listen, pubky_identity, relays, storage_kind,
};

/// One key of the other program.
pub struct Row {
    /// `section.name`.
    pub key: &'static str,
    pub becomes: Becomes,
}

/// The usual ends of a key, and a way to decide by its value.
pub enum Becomes {
    /// The setting of this path, with the same value.
    Setting(&'static str),
    /// The flag of `rowhouse ctl cluster settings set`, with the same value.
    Command(&'static str),
    Meaningless(&'static str),
    /// `None`: it goes without saying.
    Judged(fn(&Asked<'_>) -> Option<Fate>),
}

use Becomes::{Command, Judged, Meaningless, Setting};

const fn row(key: &'static str, becomes: Becomes) -> Row {
    Row { key, becomes }
}

const PATIENCE: &str = "the patience with DHT and relays is not set here";
const BUCKET: &str = "bodies lie on the nodes' own disks (`node.data_dir`), and none in this bucket is moved";

/// In the order of the report.
pub const KEYS: &[Row] = &[
    row("general.signup_mode", Command("--signup-mode")),
    row(
        "general.database_url",
        Meaningless(
            "there is no database: nodes keep everything below `node.data_dir`; users and files are not moved",
        ),
    ),
    row("general.user_storage_quota_mb", Judged(database_quota)),
    row("drive.icann_listen_socket", Setting("gateway.http_listen")),
    row("drive.pubky_listen_socket", Setting("gateway.tls_listen")),
    row("drive.icann_client_identity", Judged(icann_identity)),
    row("drive.pubky_client_identity", Judged(pubky_identity)),
    row("drive.websites", Setting("gateway.websites")),
    row("drive.rate_limits", Setting("limits.rate_limits")),
    row("default_quotas.rate_read", Command("--rate-read")),
    row("default_quotas.rate_read_burst", Command("--rate-read-burst")),
    row("default_quotas.rate_write", Command("--rate-write")),
    row("default_quotas.rate_write_burst", Command("--rate-write-burst")),
    row("default_quotas.unauthenticated_ip_rate_read", Setting("limits.unauthenticated_ip_rate_read")),
    row("storage.type", Judged(storage_kind)),
    row("storage.bucket_name", Meaningless(BUCKET)),
    row("storage.credential", Meaningless(BUCKET)),
    row("storage.default_quota_mb", Command("--storage-mb")),
    row("admin.enabled", Judged(admin_enabled)),
    row("admin.listen_socket", Judged(admin_listen)),
    row("admin.admin_password", Judged(admin_password)),
    row("metrics.enabled", Judged(metrics_enabled)),
    row("metrics.listen_socket", Judged(metrics_listen)),
    row("pkdns.public_ip", Setting("gateway.public_ip")),
    row("pkdns.public_pubky_tls_port", Setting("gateway.public_tls_port")),
    row("pkdns.public_icann_http_port", Setting("gateway.public_http_port")),
    row("pkdns.icann_domain", Judged(domain)),
    row("pkdns.user_keys_republisher_interval", Setting("pkarr.user_republish_interval_s")),
    row("pkdns.dht_bootstrap_nodes", Judged(bootstrap)),
    row("pkdns.dht_relay_nodes", Judged(relays)),
    row("pkdns.dht_request_timeout_ms", Meaningless(PATIENCE)),
    row("pkdns.relay_request_timeout_ms", Meaningless(PATIENCE)),
    row("logging.level", Judged(level)),
    row(
        "logging.module_levels",
        Meaningless(
            "modules have other names here: RUST_LOG takes `rowhouse_gateway=debug`, `rowhouse_node=debug`",
        ),
    ),
];

/// What the other program does without being told, where this one must be told, in its own words.
pub const DEFAULTS: &str = r#"
[general]
signup_mode = "token_required"

[drive]
icann_listen_socket = "127.0.0.1:6286"
pubky_listen_socket = "127.0.0.1:6287"

[admin]
enabled = true
listen_socket = "127.0.0.1:6288"
admin_password = "admin"

[pkdns]
public_ip = "127.0.0.1"
icann_domain = "localhost"
dht_bootstrap_nodes = [
  "router.bittorrent.com:6881", "dht.transmissionbt.com:6881", "dht.libtorrent.org:25401", "relay.pkarr.org:6881",
]
dht_relay_nodes = ["https://pkarr.pubky.app", "https://pkarr.pubky.org"]
"#;
