//! Nodes that can be killed: each has a runtime of its own, and dropping that is the node's crash.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rowhouse_node::init::{InitOptions, InitReport, initialize_cluster};
use rowhouse_node::meta::OPEN_SIGNUP;
use rowhouse_node::{Error, Node, NodeConfig};
use rowhouse_peer::{Dialer, Role};
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupStatus, NodeStatusReply, NodeStatusRequest};
use rowhouse_raft::{GroupId, ProposeError};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::certificates::Issuer;
use super::client::Client;

/// Far above any failover; nothing here measures time.
pub const GENEROUS: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Small, so that several clusters fit beside each other.
const MEMORY_BYTES: u64 = 32 * 1024 * 1024;
pub const SHARDS: u32 = 4;
pub const SECRET: [u8; 32] = [5; 32];

pub fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Looks until `ready` gives something.
pub fn wait_for<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + GENEROUS;
    loop {
        if let Some(value) = ready() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(LOOK_EVERY);
    }
}

pub struct TestNode {
    runtime: Runtime,
    node: Node,
    pub address: String,
}

impl TestNode {
    pub fn try_start(config: NodeConfig) -> Result<Self, Error> {
        let runtime = runtime();
        match runtime.block_on(Node::start(config)) {
            Ok(node) => {
                let address = node.address().to_string();
                Ok(Self { runtime, node, address })
            }
            Err(error) => {
                runtime.shutdown_timeout(GENEROUS);
                Err(error)
            }
        }
    }

    /// Ends every task where it stands; nothing is flushed or handed over.
    pub fn kill(self) {
        let entered = self.runtime.enter();
        drop(self.node);
        drop(entered);
        self.runtime.shutdown_timeout(GENEROUS);
    }

    pub fn stop(self) {
        self.runtime.block_on(self.node.shutdown()).expect("a clean stop");
        self.runtime.shutdown_timeout(GENEROUS);
    }

    /// What ends it by itself.
    pub fn ended(mut self) -> Error {
        let waited = self.runtime.block_on(async { tokio::time::timeout(GENEROUS, self.node.ended()).await });
        let error = waited.expect("it ends by itself");
        self.kill();
        error
    }

    /// Past every check of the service.
    pub fn propose(&self, group: u32, command: Bytes) -> Result<Bytes, ProposeError> {
        let group = self.node.host().group(group as GroupId).expect("a replica");
        self.runtime.block_on(group.propose(command, Bytes::new()))
    }

    pub fn map(&self) -> ClusterMap {
        ClusterMap::clone(&self.node.view().map())
    }

    pub fn uuid(&self) -> Vec<u8> {
        self.node.info().node_uuid.to_vec()
    }
}

/// What a test has otherwise in each node's configuration.
type Change = Box<dyn Fn(&mut NodeConfig)>;

/// Nodes by number; `None` where one is down.
pub struct Cluster {
    pub nodes: Vec<Option<TestNode>>,
    addresses: Vec<String>,
    dirs: Vec<TempDir>,
    change: Change,
    pub client: Client,
    issuer: Option<Issuer>,
}

pub fn config(dir: &TempDir, listen: &str, name: &str) -> NodeConfig {
    let listen: SocketAddr = listen.parse().expect("an address");
    let mut config = NodeConfig::new(dir.path().join("data"), listen, name, SECRET);
    config.storage.memory_bytes = MEMORY_BYTES;
    config.storage.free_space_min_bytes = 1;
    config.placement.disk_used_percent_max = 99;
    config
}

fn node_config(dir: &TempDir, listen: &str, n: usize, issuer: Option<&Issuer>) -> NodeConfig {
    let name = format!("n{n}");
    let mut config = config(dir, listen, &name);
    config.certificates = issuer.map(|issuer| issuer.certificates(Role::Node, &name));
    config
}

impl Cluster {
    /// `count` empty nodes, not initialized.
    pub fn started(count: usize) -> Self {
        Self::started_with(count, None, Box::new(|_| {}))
    }

    /// The same with mutual TLS: nodes n0, n1 and so on, gateway g0, operator admin.
    pub fn secured(count: usize) -> Self {
        Self::started_with(count, Some(Issuer::new()), Box::new(|_| {}))
    }

    fn started_with(count: usize, issuer: Option<Issuer>, change: Change) -> Self {
        let dirs: Vec<TempDir> = (0..count).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let nodes: Vec<TestNode> = dirs
            .iter()
            .enumerate()
            .map(|(n, dir)| {
                let mut config = node_config(dir, "127.0.0.1:0", n, issuer.as_ref());
                change(&mut config);
                TestNode::try_start(config).expect("an empty node starts")
            })
            .collect();
        let addresses: Vec<String> = nodes.iter().map(|node| node.address.clone()).collect();
        let dialer =
            |role, name| Dialer::new(issuer.as_ref().map(|issuer: &Issuer| issuer.certificates(role, name)));
        let (gateway, operator) = (dialer(Role::Gateway, "g0"), dialer(Role::Ctl, "admin"));
        let client = Client::new(addresses.clone(), gateway, operator);
        Self { nodes: nodes.into_iter().map(Some).collect(), addresses, dirs, change, client, issuer }
    }

    /// An initialized cluster in which every shard has a leader.
    pub fn initialized(count: usize) -> Self {
        Self::initialized_with(count, |_| {})
    }

    /// With something else in each node's configuration.
    pub fn initialized_with(count: usize, change: impl Fn(&mut NodeConfig) + 'static) -> Self {
        let cluster = Self::started_with(count, None, Box::new(change));
        let report = cluster.initialize().expect("initializes");
        assert!(report.created);
        cluster
    }

    pub fn initialize(&self) -> Result<InitReport, Error> {
        self.initialize_as(OPEN_SIGNUP)
    }

    pub fn initialize_as(&self, signup_mode: &str) -> Result<InitReport, Error> {
        self.found(&self.addresses, &[], signup_mode)
    }

    /// With some of the nodes named, and addresses at which a cluster may live.
    pub fn found(
        &self,
        named: &[String],
        elsewhere: &[String],
        signup_mode: &str,
    ) -> Result<InitReport, Error> {
        self.client.runtime.block_on(initialize_cluster(InitOptions {
            nodes: named.to_vec(),
            elsewhere: elsewhere.to_vec(),
            shards: SHARDS,
            signup_mode: signup_mode.into(),
            deadline: GENEROUS,
            dialer: self.client.operator.clone(),
        }))
    }

    pub fn kill(&mut self, n: usize) {
        self.nodes[n].take().expect("runs").kill();
    }

    pub fn stop(&mut self, n: usize) {
        self.nodes[n].take().expect("runs").stop();
    }

    /// Starts a node again on its folder and address.
    pub fn restart(&mut self, n: usize) {
        self.start_with(n, |_| {}).expect("starts again");
    }

    /// The same with something else in its configuration.
    pub fn start_with(&mut self, n: usize, change: impl FnOnce(&mut NodeConfig)) -> Result<(), Error> {
        let mut config = node_config(&self.dirs[n], &self.addresses[n], n, self.issuer.as_ref());
        config.node.seeds = self.addresses.clone();
        (self.change)(&mut config);
        change(&mut config);
        self.nodes[n] = Some(TestNode::try_start(config)?);
        Ok(())
    }

    /// Starts one more node, on an empty folder, that joins.
    pub fn join(&mut self) -> usize {
        let (n, dir) = (self.nodes.len(), tempfile::tempdir().expect("a folder"));
        let mut config = node_config(&dir, "127.0.0.1:0", n, self.issuer.as_ref());
        config.node.seeds = self.addresses.clone();
        (self.change)(&mut config);
        let node = TestNode::try_start(config).expect("an empty node starts");
        self.client.learn(&node.address);
        self.addresses.push(node.address.clone());
        self.nodes.push(Some(node));
        self.dirs.push(dir);
        n
    }

    /// The node's disk is lost: its folder is empty when it starts again.
    pub fn wipe(&mut self, n: usize) {
        self.dirs[n] = tempfile::tempdir().expect("a folder");
    }

    /// Of a cluster with mutual TLS.
    pub fn issuer(&self) -> &Issuer {
        self.issuer.as_ref().expect("secured")
    }

    pub fn dir(&self, n: usize) -> &TempDir {
        &self.dirs[n]
    }

    pub fn address(&self, n: usize) -> &str {
        &self.addresses[n]
    }

    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub fn running(&self) -> impl Iterator<Item = &TestNode> {
        self.nodes.iter().flatten()
    }

    pub fn status(&self, n: usize, scan: bool) -> Option<NodeStatusReply> {
        self.nodes[n].as_ref()?;
        self.client
            .status(&self.addresses[n], NodeStatusRequest { version: rowhouse_proto::WIRE_VERSION, scan })
    }

    /// The node that leads a group.
    pub fn leader_of(&self, group: u32) -> usize {
        wait_for("a leader", || {
            (0..self.nodes.len()).find(|n| {
                let groups = self.status(*n, false).map(|status| status.groups).unwrap_or_default();
                groups.iter().any(|status| status.group == group && status.role == "leader")
            })
        })
    }

    pub fn meta_leader(&self) -> usize {
        self.leader_of(META_GROUP)
    }

    /// Waits until all running replicas of every group have applied the same, and compares their hashes.
    pub fn assert_converged(&self) {
        let groups: Vec<u32> = (0..SHARDS).chain([META_GROUP]).collect();
        for group in groups {
            let replicas = wait_for("replicas at one applied index", || {
                let replicas = self.replicas(group);
                let first = replicas.first()?;
                let equal = replicas.iter().all(|other| other.scan_index == first.scan_index);
                let all = replicas.len() == self.placed(group);
                (equal && all && first.scan_index == first.last_log).then_some(replicas)
            });
            for replica in &replicas {
                assert_eq!(replica.scan_hash, replicas[0].scan_hash, "content of group {group}");
                if replica.hash_index == replicas[0].hash_index {
                    assert_eq!(replica.state_hash, replicas[0].state_hash, "chained hash of group {group}");
                }
            }
        }
    }

    /// How many replicas of a group the map has on nodes that run.
    fn placed(&self, group: u32) -> usize {
        let maps = self.running().map(TestNode::map);
        let map = maps.max_by_key(|map| map.map_version).expect("a node runs");
        let info = map.groups.iter().find(|info| info.group == group);
        let runs = |uuid: &[u8]| self.running().any(|node| node.uuid() == uuid);
        info.map_or(0, |info| info.places().filter(|place| runs(&place.node_uuid)).count())
    }

    fn replicas(&self, group: u32) -> Vec<GroupStatus> {
        (0..self.nodes.len())
            .filter_map(|n| self.status(n, true))
            .flat_map(|status| status.groups)
            .filter(|status| status.group == group)
            .collect()
    }
}
