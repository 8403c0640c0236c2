//! The settings of a node: one row a key. [`crate::NodeConfig`] holds the sections as they are.
//!
//! The section [raft] is `RaftTiming` of the raft crate; what only the binary needs ([secret], [tls], [probes]) is in
//! server/src/settings/shared.rs. docs/how-to/add-a-setting.md explains the rows.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use rowhouse_proto::section;
use rowhouse_proto::settings::{Kind, seconds};

/// No machine has more; sums of sizes stay far from overflow.
const BYTES_MAX: u64 = 1 << 50;
/// Below this the stores cannot hold one memtable each.
const MEMORY_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// A DHT node forgets a record after two hours.
const REPUBLISH_INTERVAL_S_MAX: u64 = 3600;
/// Beyond a week most copies on the DHT are gone.
const USER_REPUBLISH_INTERVAL_S_MAX: u64 = 7 * 24 * 3600;
/// More than a DHT client does.
const USERS_PER_SECOND_MAX: u64 = 10_000;
/// Gateways announce themselves every 10 s: one lost announcement must not cost a gateway its place.
const GATEWAY_SILENCE_S_MIN: u64 = 20;
/// Longer, and clients are sent to dead gateways for most of a record's life.
const GATEWAY_SILENCE_S_MAX: u64 = 3600;
/// More than any address causes; an operator who wants no limit writes this.
const ATTEMPTS_MAX: u64 = 1_000_000;
const ATTEMPTS: Kind = Kind::number("attempts", 1, ATTEMPTS_MAX);
/// State that is flushed more seldom makes a restart replay more log than fits in memory.
const FLUSH_INTERVAL_S_MAX: u64 = 600;
/// A replica that was away for longer is replaced.
const LOG_KEEP_S_MAX: u64 = 24 * 3600;
/// Less than the largest entries of one write.
const LOG_KEPT_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Nobody waits longer for garbage, or uploads so slowly.
const OBJECTS_S_MAX: u64 = 24 * 3600;
/// A restart takes a few seconds.
const DEAD_AFTER_S_MIN: u64 = 5;
/// More would not be a bound.
const MOVES_MAX: u64 = 64;
/// Below this a fresh disk with a system on it might get nothing.
const DISK_USED_PERCENT_MIN: u64 = 10;
const DISK_USED_PERCENT_MAX: u64 = 99;
/// One chunk a second.
const RATE_BYTES_MIN: u64 = 1024 * 1024;
/// A year.
const SCRUB_S_MAX: u64 = 365 * 24 * 3600;

section! {
    /// Who a node is, where it listens, and how it finds the others.
    pub struct NodeSection: "node" {
        data_dir: PathBuf = "/var/lib/rowhouse".into(), Kind::Path,
            "Folder of this node's log and state. One node, one folder.", required(), flag("--data-dir");
        /// Addresses beyond loopback need certificates.
        listen: SocketAddr = SocketAddr::from(([127, 0, 0, 1], 6301)), Kind::Address,
            "Address to listen on, for gateways and other nodes. Port 0 takes a free one.",
            required(), flag("--listen");
        advertise: Option<String> = None, Kind::HostPort,
            "Where others reach this node. Port 0 becomes the bound one.",
            unset("the listening address"), flag("--advertise");
        name: Option<String> = None, Kind::Text,
            "Name shown to people; with [tls] the one in the certificate.",
            unset("the certificate's, else the listening address"), flag("--name");
        seeds: Vec<String> = Vec::new(), Kind::HOST_PORTS,
            "Other nodes, asked for the cluster's map before there is one.", flag("--seed");
        /// At most 63 bytes. Replicas of a shard are placed in distinct zones while there are enough of them.
        zone: Option<String> = None, Kind::Text,
            "What fails together with this node: a rack, a room, an availability zone.",
            unset("nothing is known"), flag("--zone");
        /// A cluster may have 4 096 shards, and a scraper keeps every series.
        metrics_per_shard: bool = false, Kind::Bool,
            "Measure each shard by itself too: its term, log and lag.", flag("--metrics-per-shard");
    }
}

section! {
    /// How the records of the homeserver and its users reach the world. Without DHT nodes and relays they are kept and never
    /// published.
    pub struct PkarrConfig: "pkarr" {
        dht_bootstrap: Vec<String> = Vec::new(), Kind::HOST_PORTS,
            "DHT nodes through which records are published and looked up. Without any, relays alone are used.", flag("--dht-bootstrap");
        relays: Vec<String> = Vec::new(), Kind::URLS,
            "Pkarr relays to publish to besides the DHT. Without relays and DHT nodes nothing is published.",
            flag("--pkarr-relay");
        /// Every 30 to 60 minutes (docs/rules/network.md#published-again-and-again).
        republish_interval_s: Duration as "seconds" = Duration::from_secs(30 * 60),
            Kind::seconds(1, REPUBLISH_INTERVAL_S_MAX),
            "Time between publications of the homeserver's record. Networks forget it after two hours.",
            flag("--republish-interval-s");
        /// As the network's other homeservers do it. Copies on the DHT outlive a day.
        user_republish_interval_s: Duration as "seconds" = Duration::from_secs(4 * 3600),
            Kind::seconds(0, USER_REPUBLISH_INTERVAL_S_MAX),
            "Time between two looks at each user's record, which is published again if it points here. 0: never.",
            flag("--user-republish-interval-s");
        /// 72,000 users an hour on each node; one thread looks up some hundreds a second.
        users_per_second: u64 = 20, Kind::number("users", 1, USERS_PER_SECOND_MAX),
            "Users' records that this node looks up, and publishes, in a second at most.",
            flag("--users-per-second");
        /// Six announcements in a row: gateways repeat theirs every 10 s.
        gateway_silence_max_s: Duration as "seconds" = Duration::from_secs(60),
            Kind::seconds(GATEWAY_SILENCE_S_MIN, GATEWAY_SILENCE_S_MAX),
            "A gateway nobody heard of for this long leaves the homeserver's record, unless it is the last.";
    }
}

section! {
    /// The shares of memory and disk that the stores of a node may take.
    pub struct StorageConfig: "storage" {
        /// The default is for development (docs/rules/storage.md#one-memory-budget).
        memory_bytes: u64 = 128 * 1024 * 1024, Kind::bytes(MEMORY_BYTES_MIN, BYTES_MAX),
            "Memory for all caches and buffers of the stores. The flag counts MiB.", flag_mib("--memory-mib");
        /// Room for a few minutes of writes, their compaction, and an operator who reads alarms.
        free_space_min_bytes: u64 = 512 * 1024 * 1024, Kind::bytes(0, BYTES_MAX),
            "Free disk space below which new writes are refused. The flag counts MiB.",
            flag_mib("--free-space-min-mib");
        /// See docs/rules/storage.md#durable-by-flush.
        flush_interval_s: Duration as "seconds" = Duration::from_secs(30), Kind::seconds(1, FLUSH_INTERVAL_S_MAX),
            "Time between flushes of applied state. Longer: fewer disk writes, more log kept and replayed.";
        /// A restart, or a short outage (docs/rules/storage.md#log-is-kept-for-those-behind).
        log_keep_s: Duration as "seconds" = Duration::from_secs(300), Kind::seconds(1, LOG_KEEP_S_MAX),
            "Time for which the log is kept for replicas that were away. Who was away for longer is sent a snapshot.";
        /// A snapshot of 10 GiB takes 320 s at the default rate: room for 800 KiB/s of writes meanwhile.
        log_replica_bytes_max: u64 = 256 * 1024 * 1024, Kind::bytes(LOG_KEPT_BYTES_MIN, BYTES_MAX),
            "Log of one replica beyond which it shrinks, although another replica is still being sent a snapshot.";
        log_bytes_max: u64 = 1024 * 1024 * 1024, Kind::bytes(LOG_KEPT_BYTES_MIN, BYTES_MAX),
            "Log kept on a node for replicas that are behind; the longest logs shrink first.";
    }
}

section! {
    /// How long bodies outside the log are kept that no file refers to (docs/rules/storage.md#chunks-follow-rows).
    #[derive(Copy)]
    pub struct ObjectLimits: "objects" {
        upload_expiry_s: Duration as "seconds" = Duration::from_secs(600), Kind::seconds(1, OBJECTS_S_MAX),
            "Time after which the chunks of an upload that nobody continues are given up.";
        garbage_grace_s: Duration as "seconds" = Duration::from_secs(600), Kind::seconds(1, OBJECTS_S_MAX),
            "Time a large body is kept after it was replaced or deleted, for readers that began before.";
        /// Counted by the shard's own clock.
        orphan_age_s: Duration as "seconds" = Duration::from_secs(48 * 3600), Kind::seconds(2, SCRUB_S_MAX),
            "Age at which chunks that no file and no upload refers to are swept.";
        scrub_interval_s: Duration as "seconds" = Duration::from_secs(30 * 24 * 3600), Kind::seconds(1, SCRUB_S_MAX),
            "Pause between two readings of all large bodies, which find damage.";
    }
}

impl ObjectLimits {
    /// The offence against the rule over two of its keys, a sentence.
    pub fn complaint(&self) -> Option<String> {
        let (expiry_s, orphan_s) = (self.upload_expiry_s.as_secs(), self.orphan_age_s.as_secs());
        (expiry_s * 2 > orphan_s).then(|| {
            format!(
                "`objects.orphan_age_s` is {orphan_s}; it must be at least twice `objects.upload_expiry_s`, which \
                 is {expiry_s}: else uploads that go on are swept."
            )
        })
    }
}

section! {
    /// When and how fast replicas move from node to node (docs/rules/consensus.md#replicas-move-one-step-at-a-time).
    #[derive(Copy)]
    pub struct PlacementConfig: "placement" {
        /// Counted from the moment the coordinator missed it; `ctl node list` shows what is left.
        dead_after_s: Duration as "seconds" = Duration::from_secs(600), Kind::seconds(DEAD_AFTER_S_MIN, OBJECTS_S_MAX),
            "A node away for longer is replaced on the living ones. Keep [placement] the same on all nodes.",
            flag("--dead-after-s");
        /// Each costs a snapshot and the shard's large bodies.
        moves_per_node: u32 = 2, Kind::number("moves", 1, MOVES_MAX),
            "Replicas that move to one node, or away from one, at the same time.";
        /// What a node has taken it must also be able to compact.
        disk_used_percent_max: u64 = 85, Kind::number("percent", DISK_USED_PERCENT_MIN, DISK_USED_PERCENT_MAX),
            "A node whose disk is fuller than this gets no more replicas.", flag("--disk-used-percent-max");
        /// Snapshots and large bodies, of moves and repairs alike.
        bytes_per_second: u64 = 32 * 1024 * 1024, Kind::bytes(RATE_BYTES_MIN, BYTES_MAX),
            "Rate at which a node takes in data of replicas that move or are repaired, and sends snapshots.";
        rebalance: bool = true, Kind::Bool,
            "Whether replicas are spread over the nodes without being asked. `ctl cluster rebalance` asks once.";
    }
}

section! {
    /// Bounds for the writes that strangers may cause from one address: signups, sign-ins, exchanges, logouts by proof.
    /// The defaults are far above any person or office behind one address; bulk imports are told to wait.
    #[derive(Copy)]
    pub struct AttemptLimits: "limits" {
        attempts_per_second: u32 = 100, ATTEMPTS,
            "Signups, sign-ins and other unauthenticated attempts taken from one client address, a second.",
            flag("--attempts-per-second");
        attempts_burst: u32 = 1_000, ATTEMPTS,
            "As many of them at once, after a while of quiet.", flag("--attempts-burst");
    }
}
