//! The three simulated nodes: their disks and the clocks of their machines outlive them, everything else dies in a
//! crash.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::clock::{Clock, TimeSource};
use rowhouse_proto::lock::lock;
use rowhouse_raft::log_store::TailBudget;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::{LossyLog, LossyOptions, MemoryState, SimNet, SimWeather, Simulation};
use rowhouse_raft::state::StateStore;
use rowhouse_raft::transport::Transport;
use rowhouse_raft::{
    CheckPace, Error, Group, GroupId, GroupSpec, Host, HostOptions, LogKeep, Machine, RaftTiming, Replica,
    ReplicaId,
};

use crate::nodes::{GatewayClock, NodeUuid, Nodes};

pub const NODES: usize = 3;
/// Small, so that readers meet evicted entries and fall back to the engine.
pub const TAIL_BYTES: usize = 64 * 1024;

/// A node's machines, by group.
pub type Machines = BTreeMap<GroupId, Arc<dyn Machine>>;

struct SimNode {
    log: Arc<LossyLog<Simulation>>,
    state: Arc<MemoryState>,
    host: Option<Arc<Host<Simulation>>>,
    clock: Option<Arc<Clock>>,
    /// How wrong its machine's clock is, µs.
    clock_error_us: Arc<AtomicI64>,
}

/// Whether nodes tell each other the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clocks {
    /// Each believes its own: commands differ by as much as the clocks do.
    Apart,
    /// As pings do it.
    Judged,
}

/// Handles to the nodes; cheap to clone.
#[derive(Clone)]
pub struct SimCluster {
    nodes: Arc<Vec<Mutex<SimNode>>>,
    net: SimNet<Simulation>,
    machines: Arc<Vec<Machines>>,
    clocks: Clocks,
    gateway: GatewayClock,
    timing: RaftTiming,
    /// Clients read and do not write.
    quiet: Arc<AtomicBool>,
}

/// Often, since a run is short.
const CHECK_PACE: CheckPace = CheckPace { entries: 40, wait: Duration::from_secs(2) };
const CHECK_EVERY: Duration = Duration::from_millis(500);

/// As each node does, as long as it lives.
pub async fn compare_replicas(host: Weak<Host<Simulation>>) {
    while let Some(host) = host.upgrade() {
        host.check_states(&CHECK_PACE).await;
        drop(host);
        Simulation::sleep(CHECK_EVERY).await;
    }
}

/// Unique over groups: the log of a node holds all of them.
fn replica_id(group: GroupId, node: usize) -> ReplicaId {
    u64::from(group) * 16 + node as u64 + 1
}

pub fn uuid(node: usize) -> [u8; 16] {
    [node as u8 + 1; 16]
}

impl Nodes for SimCluster {
    fn count(&self) -> usize {
        NODES
    }

    fn group(&self, node: usize, group: GroupId) -> Option<Arc<Group<Simulation>>> {
        self.node(node).host.as_ref()?.group(group)
    }

    fn clock(&self, node: usize) -> Option<Arc<Clock>> {
        self.node(node).clock.clone()
    }

    fn node_of(&self, node: Option<NodeUuid>) -> Option<usize> {
        (0..NODES).find(|index| Some(uuid(*index)) == node)
    }

    fn gateway(&self) -> &GatewayClock {
        &self.gateway
    }

    fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }
}

impl SimCluster {
    /// With the same machines on every node.
    pub fn new(machines: Machines, clocks: Clocks) -> Self {
        Self::with_each(vec![machines; NODES], clocks)
    }

    /// With its own machines for each node, of the same groups.
    pub fn with_each(machines: Vec<Machines>, clocks: Clocks) -> Self {
        let timing = RaftTiming::default();
        let nodes = (0..NODES)
            .map(|_| {
                Mutex::new(SimNode {
                    log: LossyLog::new(LossyOptions::default()),
                    state: Arc::new(MemoryState::new()),
                    host: None,
                    clock: None,
                    clock_error_us: Arc::default(),
                })
            })
            .collect();
        Self {
            nodes: Arc::new(nodes),
            net: SimNet::new(SimWeather::default()),
            machines: Arc::new(machines),
            clocks,
            gateway: GatewayClock::default(),
            timing,
            quiet: Arc::default(),
        }
    }

    pub fn net(&self) -> &SimNet<Simulation> {
        &self.net
    }

    fn node(&self, node: usize) -> MutexGuard<'_, SimNode> {
        lock(&self.nodes[node])
    }

    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    /// Does the node lead any group?
    pub fn leads(&self, node: usize) -> bool {
        self.groups().into_iter().filter_map(|group| self.group(node, group)).any(|group| group.is_leader())
    }

    pub fn groups(&self) -> Vec<GroupId> {
        self.machines[0].keys().copied().collect()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.node(node).host.is_some()
    }

    /// At once, also while the node runs.
    pub fn set_clock_error(&self, node: usize, error_us: i64) {
        self.node(node).clock_error_us.store(error_us, Ordering::Relaxed);
    }

    /// Boots a node from what its disks hold.
    pub async fn start(&self, node: usize) -> Result<(), Error> {
        let (log, state, error_us) = {
            let node = self.node(node);
            (node.log.clone(), node.state.clone(), node.clock_error_us.clone())
        };
        let clock = open_clock(&log, &error_us);
        if self.clocks == Clocks::Apart {
            clock.judge_alone();
        }
        self.net.restart(uuid(node));
        let transport = Transport::new(self.net.wire(uuid(node)), PathBuf::new(), self.timing);
        let host = Host::new(HostOptions {
            log,
            state: StateStore::open(state, PathBuf::new())?,
            transport,
            tail: TailBudget::new(TAIL_BYTES),
            keep: LogKeep::default(),
        });
        for (group, machine) in &self.machines[node] {
            let replica = replica_id(*group, node);
            host.start(GroupSpec { group: *group, replica, machine: machine.clone() }).await?;
        }
        drop(Simulation::spawn(compare_replicas(Arc::downgrade(&host))));
        {
            let mut node = self.node(node);
            (node.host, node.clock) = (Some(host), Some(clock));
        }
        self.tell_time();
        Ok(())
    }

    /// First boot: every node, and the same voters for every group.
    pub async fn bootstrap(&self) -> Result<(), Error> {
        for node in 0..NODES {
            self.start(node).await?;
        }
        for group in self.groups() {
            let members: BTreeMap<ReplicaId, Replica> =
                (0..NODES).map(|node| (replica_id(group, node), Replica { node_uuid: uuid(node) })).collect();
            if let Some(handle) = self.group(0, group) {
                handle.initialize(members).await?;
            }
        }
        Ok(())
    }
}

/// The clock of a machine that is so wrong.
pub fn open_clock(log: &Arc<LossyLog<Simulation>>, error_us: &Arc<AtomicI64>) -> Arc<Clock> {
    let error_us = Arc::clone(error_us);
    let reads: Arc<dyn Fn() -> u64 + Send + Sync> =
        Arc::new(move || Simulation::wall_us().saturating_add_signed(error_us.load(Ordering::Relaxed)));
    let time = TimeSource { steady_us: Arc::clone(&reads), wall_us: reads };
    let clock = Clock::open(log.clone(), time);
    Arc::new(clock.unwrap_or_else(|error| panic!("the clock's reservation cannot be read: {error}")))
}

impl SimCluster {
    /// A round of pings among the nodes that are up; partitions do not concern it.
    pub fn tell_time(&self) {
        if self.clocks == Clocks::Apart {
            return;
        }
        let clocks: Vec<Arc<Clock>> = (0..NODES).filter_map(|node| self.clock(node)).collect();
        for clock in &clocks {
            let others = || clocks.iter().filter(|other| !Arc::ptr_eq(clock, other));
            let offsets = others().filter_map(|other| clock.offset_of(other.reading_us())).collect();
            clock.judge(offsets, NODES);
            for other in others() {
                clock.merge(other.latest());
            }
        }
    }

    /// Power is cut: what was not synced is gone. Does nothing to a node that is down.
    pub async fn crash(&self, node: usize) {
        let Some(host) = self.node(node).host.take() else { return };
        self.node(node).clock = None;
        self.net.crash(uuid(node));
        for group in self.groups() {
            host.stop(group).await;
        }
        let mut node = self.node(node);
        // A disk may have begun to write what was not yet reported as synced.
        let begun = Simulation::random_u64() as usize % (node.log.unsynced() + 1);
        node.log = node.log.crash(begun);
        // RocksDB writes memtables out when it likes: any first part of what was not flushed may survive.
        let survives = Simulation::random_u64() as usize % (node.state.unflushed() + 1);
        node.state.crash_keeping(survives);
    }

    /// Boots a node that is down.
    pub async fn restart(&self, node: usize) {
        if !self.is_up(node) {
            self.start(node).await.unwrap_or_else(|error| panic!("node {node} does not come back: {error}"));
        }
    }

    /// Makes the applied state of a node durable, and lets its logs shrink.
    pub async fn flush(&self, node: usize) {
        let host = self.node(node).host.clone();
        if let Some(host) = host
            && let Err(error) = host.flush().await
        {
            panic!("node {node} does not flush: {error}");
        }
    }

    pub async fn shutdown(&self) {
        for node in 0..NODES {
            let host = self.node(node).host.take();
            if let Some(host) = host
                && let Err(error) = host.shutdown().await
            {
                panic!("node {node} does not shut down: {error}");
            }
        }
    }
}
