//! The three simulated nodes: their disks outlive them, everything else dies in a crash.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rowhouse_raft::log_store::{LossyLog, TailBudget};
use rowhouse_raft::runtime::Simulation;
use rowhouse_raft::state::{MemoryState, StateStore};
use rowhouse_raft::transport::{SimNet, Transport};
use rowhouse_raft::{Error, Group, GroupId, GroupSpec, Host, HostOptions, Machine, RaftTiming, Replica, ReplicaId};

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
    net: SimNet,
    machines: Arc<Machines>,
    timing: RaftTiming,
}

const CLUSTER: [u8; 16] = *b"simulated-cluste";

/// Unique over groups: the log of a node holds all of them.
fn replica_id(group: GroupId, node: usize) -> ReplicaId {
    u64::from(group) * 16 + node as u64 + 1
}

pub fn uuid(node: usize) -> [u8; 16] {
    [node as u8 + 1; 16]
}

impl SimCluster {
    pub fn new(machines: Machines) -> Self {
        let timing = RaftTiming::default();
        let nodes = (0..NODES)
            .map(|_| {
                Mutex::new(SimNode {
                    log: Arc::new(LossyLog::new()),
                    state: Arc::new(MemoryState::new()),
                    host: None,
                    clock_step_us: 0,
                })
            })
            .collect();
        Self { nodes: Arc::new(nodes), net: SimNet::new(), machines: Arc::new(machines), timing }
    }

    pub fn net(&self) -> &SimNet {
        &self.net
    }

    fn node(&self, node: usize) -> MutexGuard<'_, SimNode> {
        self.nodes[node].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn group(&self, node: usize, group: GroupId) -> Option<Arc<Group<Simulation>>> {
        self.node(node).host.as_ref()?.group(group)
    }

    pub fn groups(&self) -> Vec<GroupId> {
        self.machines.keys().copied().collect()
    }

    pub fn is_up(&self, node: usize) -> bool {
        self.node(node).host.is_some()
    }

    pub fn clock_step_us(&self, node: usize) -> i64 {
        self.node(node).clock_step_us
    }

    pub fn step_clock(&self, node: usize, by_us: i64) {
        self.node(node).clock_step_us += by_us;
    }

    /// Boots a node from what its disks hold.
    pub async fn start(&self, node: usize) -> Result<(), Error> {
        let (log, state) = {
            let node = self.node(node);
            (node.log.clone(), node.state.clone())
        };
        self.net.restart(uuid(node));
        let transport = Transport::new(self.timing, CLUSTER, uuid(node), self.net.wire(uuid(node)));
        let host = Host::new(HostOptions {
            log,
            state: Arc::new(StateStore::open(state, std::env::temp_dir())?),
            transport,
            tail: TailBudget::new(TAIL_BYTES),
            timing: self.timing,
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
