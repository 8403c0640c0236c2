//! The nodes as clients see them: they run groups and tell the time.

use std::sync::{Arc, Mutex};

use rowhouse_node::clock::Clock;
use rowhouse_proto::wire::command::command::Body;
use rowhouse_raft::lock::lock;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;
use rowhouse_raft::{Group, GroupId};

/// A node's uuid.
pub type NodeUuid = [u8; 16];

/// A gateway takes what is this far behind for a correction.
const CORRECTION_US: u64 = 45_000_000;

/// The cluster's time as gateways know it: the largest HLC they were told, and their own time since the start then.
#[derive(Clone, Default)]
pub struct GatewayClock(Arc<Mutex<(u64, u64)>>);

impl GatewayClock {
    /// A gateway hears a node's clock, in any answer.
    pub fn hear(&self, clock: &Clock) {
        let hlc_us = clock.latest();
        if hlc_us == 0 {
            return;
        }
        let now_us = self.issued_at_us();
        let mut told = lock(&self.0);
        if hlc_us > told.0 || hlc_us.saturating_add(CORRECTION_US) < now_us {
            *told = (hlc_us, Simulation::wall_us());
        }
    }

    /// The time that a request begins with.
    pub fn issued_at_us(&self) -> u64 {
        let (hlc_us, at_us) = *lock(&self.0);
        hlc_us.saturating_add(Simulation::wall_us().saturating_sub(at_us))
    }

    /// The largest HLC heard.
    pub fn seen_hlc_us(&self) -> u64 {
        lock(&self.0).0
    }
}

/// A simulated cluster; clones are the same one.
pub trait Nodes: Clone + Send + Sync + 'static {
    /// Nodes that a client may try, also those that are down.
    fn count(&self) -> usize;

    /// The group on a node that is up.
    fn group(&self, node: usize, group: GroupId) -> Option<Arc<Group<Simulation>>>;

    /// The clock of a node that is up.
    fn clock(&self, node: usize) -> Option<Arc<Clock>>;

    /// The index of a node in a leader hint.
    fn node_of(&self, uuid: Option<NodeUuid>) -> Option<usize>;

    fn gateway(&self) -> &GatewayClock;

    /// Clients read and do not write.
    fn is_quiet(&self) -> bool {
        false
    }

    /// Bodies go to the replicas ahead of their command; `false`: too few take it.
    fn upload(&self, _at: &Group<Simulation>, _body: &Body) -> bool {
        true
    }

    /// The client is about to be told that the command was carried out.
    fn acknowledge(&self, _at: &Group<Simulation>, _body: &Body) {}

    /// Is this still the node's group, with no crash in between?
    fn runs(&self, node: usize, handle: &Arc<Group<Simulation>>) -> bool {
        self.group(node, handle.id()).is_some_and(|running| Arc::ptr_eq(&running, handle))
    }

    fn hear(&self, node: usize) {
        if let Some(clock) = self.clock(node) {
            self.gateway().hear(&clock);
        }
    }

    /// Any of the nodes.
    fn any(&self) -> usize {
        (Simulation::random_u64() % self.count() as u64) as usize
    }
}
