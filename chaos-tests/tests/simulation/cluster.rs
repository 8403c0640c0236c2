//! The three simulated nodes: their disks outlive them, everything else dies in a crash.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowhouse_raft::log_store::{LossyLog, LossyOptions, TailBudget};
use rowhouse_raft::runtime::{Runtime, Simulation};
use rowhouse_raft::state::{MemoryState, StateStore};
use rowhouse_raft::transport::{SimNet, SimWeather, Transport};
use rowhouse_raft::{
    Error, Group, GroupId, GroupSpec, Host, HostOptions, Machine, RaftTiming, Replica, ReplicaId,
};

pub const NODES: usize = 3;
/// Small, so that readers meet evicted entries and fall back to the engine.
const TAIL_BYTES: usize = 64 * 1024;

/// A group's machine, by group: the same on every node.
pub type Machines = BTreeMap<GroupId, Arc<dyn Machine>>;

struct SimNode {
    log: Arc<LossyLog<Simulation>>,
    state: Arc<MemoryState>,
    host: Option<Arc<Host<Simulation>>>,
    /// How far its wall clock has been stepped, µs.
    clock_step_us: i64,
}

/// Handles to the nodes; cheap to clone.
#[derive(Clone)]
pub struct SimCluster {
    nodes: Arc<Vec<Mutex<SimNode>>>,
    net: SimNet<Simulation>,
    machines: Arc<Machines>,
    timing: RaftTiming,
    /// Clients read and do not write.
    quiet: Arc<AtomicBool>,
}

/// Unique over groups: the log of a node holds all of them.
fn replica_id(group: GroupId, node: usize) -> ReplicaId {
    u64::from(group) * 16 + node as u64 + 1
}

pub fn uuid(node: usize) -> [u8; 16] {
    [node as u8 + 1; 16]
}

/// The index of a node in a leader hint.
pub fn node_of(node: Option<[u8; 16]>) -> Option<usize> {
    (0..NODES).find(|index| Some(uuid(*index)) == node)
}

impl SimCluster {
    pub fn new(machines: Machines) -> Self {
        let timing = RaftTiming::default();
        let nodes = (0..NODES)
            .map(|_| {
                Mutex::new(SimNode {
                    log: LossyLog::new(LossyOptions::default()),
                    state: Arc::new(MemoryState::new()),
                    host: None,
                    clock_step_us: 0,
                })
            })
            .collect();
        Self {
            nodes: Arc::new(nodes),
            net: SimNet::new(SimWeather::default()),
            machines: Arc::new(machines),
            timing,
            quiet: Arc::default(),
        }
    }

    pub fn net(&self) -> &SimNet<Simulation> {
        &self.net
    }

    fn node(&self, node: usize) -> MutexGuard<'_, SimNode> {
        self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn group(&self, node: usize, group: GroupId) -> Option<Arc<Group<Simulation>>> {
        self.node(node).host.as_ref()?.group(group)
    }

    pub fn set_quiet(&self, quiet: bool) {
        self.quiet.store(quiet, Ordering::Relaxed);
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Does the node lead any group?
    pub fn leads(&self, node: usize) -> bool {
        self.groups().into_iter().filter_map(|group| self.group(node, group)).any(|group| group.is_leader())
    }

    /// Is this still the node's group, with no crash in between?
    pub fn runs(&self, node: usize, handle: &Arc<Group<Simulation>>) -> bool {
        self.group(node, handle.id()).is_some_and(|running| Arc::ptr_eq(&running, handle))
    }

    pub fn groups(&self) -> Vec<GroupId> {
        self.machines.keys().copied().collect()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.node(node).host.is_some()
    }

    pub fn step_clock(&self, node: usize, to_us: i64) {
        self.node(node).clock_step_us = to_us;
    }

    /// Boots a node from what its disks hold.
    pub async fn start(&self, node: usize) -> Result<(), Error> {
        let (log, state) = {
            let node = self.node(node);
            (node.log.clone(), node.state.clone())
        };
        self.net.restart(uuid(node));
        let transport = Transport::new(self.net.wire(uuid(node)), PathBuf::new(), self.timing);
        let host = Host::new(HostOptions {
            log,
            state: StateStore::open(state, PathBuf::new())?,
            transport,
            tail: TailBudget::new(TAIL_BYTES),
        });
        for (group, machine) in self.machines.iter() {
            let replica = replica_id(*group, node);
            host.start(GroupSpec { group: *group, replica, machine: machine.clone() }).await?;
        }
        self.node(node).host = Some(host);
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

impl SimCluster {
    /// The node's own wall clock, stepped as the nemesis left it.
    pub fn now_us(&self, node: usize) -> u64 {
        let step = self.node(node).clock_step_us;
        Simulation::wall_us().saturating_add_signed(step)
    }

    /// The largest clock any node has: what a gateway that talks to all of them has seen.
    pub fn seen_us(&self) -> u64 {
        (0..NODES).map(|node| self.now_us(node)).max().unwrap_or(0)
    }

    /// Power is cut: what was not synced is gone. Does nothing to a node that is down.
    pub async fn crash(&self, node: usize) {
        let Some(host) = self.node(node).host.take() else { return };
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
