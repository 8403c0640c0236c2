//! The settings of `rowhouse node`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use rowhouse_node::{
    AttemptLimits, ELECTION_MAX_MS_MIN, MEMORY_BYTES_MIN, NodeConfig, ObjectLimits, PkarrConfig,
};
use serde::{Deserialize, Serialize};

use super::key::{Key, Kind, key};
use super::load::Settings;
use super::shared::{
    HOMESERVER_SECRET_FILE, HOST_PORTS, PROBES_LISTEN, ProbesSection, SecretSection, TLS_CA, TLS_CERT,
    TLS_KEY, TlsSection, URLS,
};

/// No machine has more; sums of sizes stay far from overflow.
const BYTES_MAX: u64 = 1 << 50;
/// A DHT node forgets a record after two hours.
const REPUBLISH_INTERVAL_S_MAX: u64 = 3600;
/// Gateways announce themselves every 10 s: one lost announcement must not cost one its place.
const GATEWAY_SILENCE_S_MIN: u64 = 20;
/// Longer, and clients are sent to dead gateways for most of a record's life.
const GATEWAY_SILENCE_S_MAX: u64 = 3600;
/// More than any address causes; whoever wants no limit writes this.
const ATTEMPTS_MAX: u64 = 1_000_000;
/// State that is flushed more seldom makes a restart replay more log than fits in memory.
const FLUSH_INTERVAL_S_MAX: u64 = 600;
/// Nobody waits longer for garbage, or uploads so slowly.
const OBJECTS_S_MAX: u64 = 24 * 3600;
/// A year.
const SCRUB_S_MAX: u64 = 365 * 24 * 3600;
/// Below this a pause of the scheduler looks like a dead leader.
const RAFT_MS_MIN: u64 = 10;
/// Above this nobody would call it a highly available service.
const RAFT_MS_MAX: u64 = 60_000;
/// One lost heartbeat must not start an election.
const HEARTBEATS_BEFORE_ELECTION: u64 = 2;

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSettings {
    pub node: NodeSection,
    pub secret: SecretSection,
    #[serde(default)]
    pub tls: TlsSection,
    #[serde(default)]
    pub pkarr: PkarrSection,
    #[serde(default)]
    pub storage: StorageSection,
    #[serde(default)]
    pub objects: ObjectsSection,
    #[serde(default)]
    pub raft: RaftSection,
    #[serde(default)]
    pub limits: AttemptsSection,
    #[serde(default)]
    pub probes: ProbesSection,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct NodeSection {
    pub data_dir: PathBuf,
    pub listen: SocketAddr,
    pub advertise: Option<String>,
    pub name: Option<String>,
    #[serde(default)]
    pub seeds: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct PkarrSection {
    pub dht_bootstrap: Vec<String>,
    pub relays: Vec<String>,
    pub republish_interval_s: u64,
    pub gateway_silence_max_s: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct StorageSection {
    pub memory_bytes: u64,
    pub free_space_min_bytes: u64,
    pub flush_interval_s: u64,
}

/// Bodies that are too large for the log.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ObjectsSection {
    pub upload_expiry_s: u64,
    pub garbage_grace_s: u64,
    pub orphan_age_s: u64,
    pub scrub_interval_s: u64,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RaftSection {
    pub heartbeat_ms: u64,
    pub election_min_ms: u64,
    pub election_max_ms: u64,
    pub propose_deadline_ms: u64,
}

/// The bounds of a node; a gateway has others in the same section.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AttemptsSection {
    pub attempts_per_second: u32,
    pub attempts_burst: u32,
}

impl Default for PkarrSection {
    fn default() -> Self {
        let config = defaults();
        let PkarrConfig { bootstrap, relays, republish_interval } = config.pkarr;
        Self {
            dht_bootstrap: bootstrap,
            relays,
            republish_interval_s: republish_interval.as_secs(),
            gateway_silence_max_s: config.gateway_silence_max.as_secs(),
        }
    }
}

impl Default for AttemptsSection {
    fn default() -> Self {
        let AttemptLimits { per_second, burst } = AttemptLimits::default();
        Self { attempts_per_second: per_second, attempts_burst: burst }
    }
}

impl Default for StorageSection {
    fn default() -> Self {
        let config = defaults();
        Self {
            memory_bytes: config.memory_bytes,
            free_space_min_bytes: config.free_space_min_bytes,
            flush_interval_s: config.flush_interval.as_secs(),
        }
    }
}

impl Default for ObjectsSection {
    fn default() -> Self {
        let ObjectLimits { upload_lifetime, garbage_grace, orphan_age, scrub_interval } =
            ObjectLimits::default();
        Self {
            upload_expiry_s: upload_lifetime.as_secs(),
            garbage_grace_s: garbage_grace.as_secs(),
            orphan_age_s: orphan_age.as_secs(),
            scrub_interval_s: scrub_interval.as_secs(),
        }
    }
}

impl Default for RaftSection {
    fn default() -> Self {
        let timing = defaults().timing;
        Self {
            heartbeat_ms: timing.heartbeat_ms,
            election_min_ms: timing.election_min_ms,
            election_max_ms: timing.election_max_ms,
            propose_deadline_ms: timing.propose_deadline_ms,
        }
    }
}

/// The defaults stand where they are explained: in the node's own configuration.
fn defaults() -> NodeConfig {
    NodeConfig::new(PathBuf::new(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), "", [0; 32])
}

impl Settings for NodeSettings {
    const PROCESS: &'static str = "node";
    const KEYS: &'static [Key] = KEYS;

    fn complaints(&self) -> Vec<String> {
        let RaftSection { heartbeat_ms, election_min_ms, election_max_ms, .. } = self.raft;
        let mut complaints = self.tls.complaints(&[("node.listen", Some(self.node.listen))]);
        if heartbeat_ms * HEARTBEATS_BEFORE_ELECTION > election_min_ms {
            complaints.push(format!(
                "`raft.election_min_ms` is {election_min_ms}; it must be at least {HEARTBEATS_BEFORE_ELECTION} \
                 times `raft.heartbeat_ms`, which is {heartbeat_ms}."
            ));
        }
        let ObjectsSection { upload_expiry_s, orphan_age_s, .. } = self.objects;
        if upload_expiry_s * 2 > orphan_age_s {
            complaints.push(format!(
                "`objects.orphan_age_s` is {orphan_age_s}; it must be at least twice \
                 `objects.upload_expiry_s`, which is {upload_expiry_s}: else uploads that go on are swept."
            ));
        }
        if election_min_ms >= election_max_ms {
            complaints.push(format!(
                "`raft.election_max_ms` is {election_max_ms}; it must be more than `raft.election_min_ms`, \
                 which is {election_min_ms}."
            ));
        }
        complaints
    }
}

const RAFT_MS: Kind = Kind::Number { unit: "milliseconds", min: RAFT_MS_MIN, max: RAFT_MS_MAX };

const ATTEMPTS: Kind = Kind::Number { unit: "attempts", min: 1, max: ATTEMPTS_MAX };

pub const KEYS: &[Key] = &[
    key("node.data_dir", Kind::Path, "Folder of this node's log and state. One node, one folder.")
        .required("/var/lib/rowhouse")
        .flag("--data-dir"),
    key(
        "node.listen",
        Kind::Address,
        "Address to listen on, for gateways and other nodes. Port 0 takes a free one.",
    )
    .required("127.0.0.1:6301")
    .flag("--listen"),
    key("node.advertise", Kind::HostPort, "Where others reach this node. Port 0 becomes the bound one.")
        .unset("the listening address")
        .flag("--advertise"),
    key("node.name", Kind::Text, "Name shown to people; with [tls] the one in the certificate.")
        .unset("the certificate's, else the listening address")
        .flag("--name"),
    key("node.seeds", HOST_PORTS, "Other nodes, asked for the cluster's map before there is one.")
        .flag("--seed"),
    HOMESERVER_SECRET_FILE,
    TLS_CERT,
    TLS_KEY,
    TLS_CA,
    key("pkarr.dht_bootstrap", HOST_PORTS, "DHT nodes to publish the homeserver's record through.")
        .flag("--dht-bootstrap"),
    key(
        "pkarr.relays",
        URLS,
        "Pkarr relays to publish through. Without relays and DHT nodes nothing is published.",
    )
    .flag("--pkarr-relay"),
    key(
        "pkarr.republish_interval_s",
        Kind::Number { unit: "seconds", min: 1, max: REPUBLISH_INTERVAL_S_MAX },
        "Time between publications of the homeserver's record. Networks forget it after two hours.",
    )
    .flag("--republish-interval-s"),
    key(
        "pkarr.gateway_silence_max_s",
        Kind::Number { unit: "seconds", min: GATEWAY_SILENCE_S_MIN, max: GATEWAY_SILENCE_S_MAX },
        "A gateway nobody heard of for this long leaves the homeserver's record, unless it is the last.",
    ),
    key(
        "storage.memory_bytes",
        Kind::Number { unit: "bytes", min: MEMORY_BYTES_MIN, max: BYTES_MAX },
        "Memory for all caches and buffers of the stores. The flag counts MiB.",
    )
    .flag("--memory-mib"),
    key(
        "storage.free_space_min_bytes",
        Kind::Number { unit: "bytes", min: 0, max: BYTES_MAX },
        "Free disk space below which new writes are refused. The flag counts MiB.",
    )
    .flag("--free-space-min-mib"),
    key(
        "storage.flush_interval_s",
        Kind::Number { unit: "seconds", min: 1, max: FLUSH_INTERVAL_S_MAX },
        "Time between flushes of applied state. Longer: fewer disk writes, more log kept and replayed.",
    ),
    key(
        "objects.upload_expiry_s",
        Kind::Number { unit: "seconds", min: 1, max: OBJECTS_S_MAX },
        "Time after which the chunks of an upload that nobody continues are given up.",
    ),
    key(
        "objects.garbage_grace_s",
        Kind::Number { unit: "seconds", min: 1, max: OBJECTS_S_MAX },
        "Time a large body is kept after it was replaced or deleted, for readers that began before.",
    ),
    key(
        "objects.orphan_age_s",
        Kind::Number { unit: "seconds", min: 2, max: SCRUB_S_MAX },
        "Age at which chunks that no file and no upload refers to are swept.",
    ),
    key(
        "objects.scrub_interval_s",
        Kind::Number { unit: "seconds", min: 1, max: SCRUB_S_MAX },
        "Pause between two readings of all large bodies, which find damage.",
    ),
    key(
        "raft.heartbeat_ms",
        RAFT_MS,
        "Time between heartbeats of a leader. Keep [raft] the same on all nodes.",
    ),
    key("raft.election_min_ms", RAFT_MS, "Shortest wait for a leader before an election."),
    key(
        "raft.election_max_ms",
        Kind::Number { unit: "milliseconds", min: ELECTION_MAX_MS_MIN, max: RAFT_MS_MAX },
        "Longest wait for a leader before an election; also the leader's lease. Nodes refuse each other unless \
         half of the longer plus 200 is at most the shorter: change it in such steps, or with all nodes stopped.",
    ),
    key(
        "raft.propose_deadline_ms",
        RAFT_MS,
        "How long a write may take before its outcome is reported as unknown.",
    ),
    key(
        "limits.attempts_per_second",
        ATTEMPTS,
        "Signups, sign-ins and other unauthenticated attempts taken from one client address, a second.",
    )
    .flag("--attempts-per-second"),
    key("limits.attempts_burst", ATTEMPTS, "As many of them at once, after a while of quiet.")
        .flag("--attempts-burst"),
    PROBES_LISTEN,
];
