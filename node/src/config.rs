//! What a node is told at start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_peer::{Certificates, Role};
use rowhouse_proto::{COMMAND_VERSIONS, VersionRange};
use rowhouse_raft::RaftTiming;

use crate::Error;

/// How the homeserver's packet reaches the world. Nothing configured: it is committed, never published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PkarrConfig {
    /// DHT bootstrap nodes, host:port.
    pub bootstrap: Vec<String>,
    /// Relay URLs.
    pub relays: Vec<String>,
    pub republish_interval: Duration,
}

/// The committed bytes go out again every 30 to 60 minutes (docs/rules/network.md#published-again-and-again).
const REPUBLISH_INTERVAL: Duration = Duration::from_secs(30 * 60);

impl Default for PkarrConfig {
    fn default() -> Self {
        Self { bootstrap: Vec::new(), relays: Vec::new(), republish_interval: REPUBLISH_INTERVAL }
    }
}

/// What strangers may cause to be written from one address: signups, sign-ins, exchanges, logouts by proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptLimits {
    pub per_second: u32,
    pub burst: u32,
}

impl Default for AttemptLimits {
    /// Far above any person or office behind one address; bulk imports are told to wait.
    fn default() -> Self {
        Self { per_second: 100, burst: 1_000 }
    }
}

/// How long bodies outside the log are kept that no file refers to (docs/rules/storage.md#chunks-follow-rows).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectLimits {
    /// Of an upload that nobody continues.
    pub upload_lifetime: Duration,
    /// Of a body that was replaced or deleted: readers that began before have this long to end.
    pub garbage_grace: Duration,
    /// Of chunks that no entry of the log knows, counted by the shard's own clock.
    pub orphan_age: Duration,
    /// From the end of one reading of everything to the start of the next.
    pub scrub_interval: Duration,
}

impl Default for ObjectLimits {
    fn default() -> Self {
        Self {
            upload_lifetime: Duration::from_secs(600),
            garbage_grace: Duration::from_secs(600),
            orphan_age: Duration::from_secs(48 * 3600),
            scrub_interval: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

#[derive(Clone)]
pub struct NodeConfig {
    pub data_dir: PathBuf,
    /// Port 0 takes one from the OS.
    pub listen: SocketAddr,
    /// host:port others reach this node at; a port 0 becomes the bound one.
    pub advertise: String,
    /// For people; with certificates, the name in this node's own.
    pub name: String,
    pub homeserver_secret: [u8; 32],
    /// Other nodes, host:port: where the map is asked for before there is one.
    pub seeds: Vec<String>,
    pub pkarr: PkarrConfig,
    pub timing: RaftTiming,
    /// One budget for every cache and buffer of the two stores (docs/rules/storage.md#one-memory-budget).
    pub memory_bytes: u64,
    /// Below this much free disk space the node reports the low-space mark
    /// (docs/rules/storage.md#a-full-disk-is-met-early).
    pub free_space_min_bytes: u64,
    pub flush_interval: Duration,
    pub attempts: AttemptLimits,
    /// A gateway nobody heard of for this long leaves the packet.
    pub gateway_silence_max: Duration,
    /// Mutual TLS with everybody; `None`: plaintext on loopback. Whoever composes the process refreshes them.
    pub certificates: Option<Arc<Certificates>>,
    pub objects: ObjectLimits,
    /// Of the commands it understands. No setting: tests have nodes of other versions.
    pub command_versions: VersionRange,
}

/// The default for development (docs/rules/storage.md#one-memory-budget).
const MEMORY_BYTES: u64 = 128 * 1024 * 1024;
/// Room for a few minutes of writes, their compaction, and an operator who reads alarms.
const FREE_SPACE_MIN_BYTES: u64 = 512 * 1024 * 1024;
/// See docs/rules/storage.md#durable-by-flush.
const FLUSH_INTERVAL: Duration = Duration::from_secs(30);
/// Six announcements in a row: gateways repeat theirs every 10 s.
const GATEWAY_SILENCE_MAX: Duration = Duration::from_secs(60);
/// Below this the stores cannot hold one memtable each.
pub const MEMORY_BYTES_MIN: u64 = 16 * 1024 * 1024;
/// Seeds are a way in, not the list of nodes.
const SEEDS_MAX: usize = 32;

impl NodeConfig {
    /// Defaults for all that is not this node's own.
    pub fn new(data_dir: PathBuf, listen: SocketAddr, name: &str, homeserver_secret: [u8; 32]) -> Self {
        Self {
            data_dir,
            listen,
            advertise: listen.to_string(),
            name: name.to_owned(),
            homeserver_secret,
            seeds: Vec::new(),
            pkarr: PkarrConfig::default(),
            timing: RaftTiming::default(),
            memory_bytes: MEMORY_BYTES,
            free_space_min_bytes: FREE_SPACE_MIN_BYTES,
            flush_interval: FLUSH_INTERVAL,
            attempts: AttemptLimits::default(),
            gateway_silence_max: GATEWAY_SILENCE_MAX,
            certificates: None,
            objects: ObjectLimits::default(),
            command_versions: COMMAND_VERSIONS,
        }
    }

    pub fn validate(&self) -> Result<(), Error> {
        match &self.certificates {
            None if !self.listen.ip().is_loopback() => return Err(Error::NotLoopback(self.listen)),
            None => {}
            Some(certificates) => self.validate_subject(certificates)?,
        }
        self.validate_values()
    }

    /// All that can be judged without the files the configuration names.
    pub fn validate_values(&self) -> Result<(), Error> {
        if self.memory_bytes < MEMORY_BYTES_MIN {
            return Err(Error::Config(format!("memory_bytes must be at least {MEMORY_BYTES_MIN}")));
        }
        if self.attempts.per_second == 0 || self.attempts.burst == 0 {
            return Err(Error::Config("attempts per second and their burst must be at least 1".to_owned()));
        }
        if self.seeds.len() > SEEDS_MAX {
            return Err(Error::Config(format!("at most {SEEDS_MAX} seeds")));
        }
        if !self.advertise.contains(':') {
            return Err(Error::Config("advertise must be host:port".to_owned()));
        }
        let unspecified = |address: SocketAddr| address.ip().is_unspecified();
        if self.advertise.parse().is_ok_and(unspecified) {
            let what =
                "advertise must be an address at which others reach this node: pass --advertise host:port";
            return Err(Error::Config(what.to_owned()));
        }
        Ok(())
    }

    /// Others know this node by its name, and believe it by its certificate.
    fn validate_subject(&self, certificates: &Certificates) -> Result<(), Error> {
        let subject = certificates.subject();
        if subject.role() == Role::Node && subject.name() == self.name {
            return Ok(());
        }
        let cert = certificates.files().cert.display();
        let name = &self.name;
        Err(Error::Config(format!("this is node {name}, but the certificate in {cert} is of {subject}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listening_beyond_loopback_is_refused_with_the_reason() {
        for listen in ["0.0.0.0:7000", "192.168.1.1:7000", "[::]:7000"] {
            let listen = listen.parse().expect("an address");
            let config = NodeConfig::new(PathBuf::new(), listen, "n", [0; 32]);
            let error = config.validate().expect_err("must be refused");
            assert!(error.to_string().contains("mTLS"), "{error}");
        }
        let config =
            NodeConfig::new(PathBuf::new(), "127.0.0.1:0".parse().expect("an address"), "n", [0; 32]);
        config.validate().expect("loopback is fine");
    }
}
