//! One simulated run: boot, faults under load, healing, then what must hold.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft_rt_sim::{SimInstant, SimRuntime};
use rowhouse_chaos_tests::oracle::{History, Operation, Outcome as Seen};
use rowhouse_node::apply::ShardMachine;
use rowhouse_raft::runtime::{Runtime, Simulation};
use rowhouse_raft::{GroupId, Machine};

use crate::client::{Answer, SimUser, execute, random_id, read};
use crate::cluster::{Machines, NODES, SimCluster};
use crate::nemesis::{self, Faults};
use crate::probe;

/// Two shards: enough for one node to lead one and follow the other.
const GROUPS: [GroupId; 2] = [0, 1];
const CLIENTS_PER_GROUP: u32 = 3;
/// Few paths, so that clients meet on them.
const PATHS: u64 = 3;
/// Virtual time the healed cluster has to serve again; many elections long.
const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
pub struct SimOptions {
    pub seed: u64,
    pub fault_rounds: u32,
}

/// What a run did; two runs of a seed are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub faults: Faults,
    pub puts: u32,
    pub gets: u32,
    pub unknown: u32,
    /// Virtual time.
    pub elapsed_us: u64,
    pub state_hashes: Vec<[u8; 32]>,
    /// Everything clients saw, in order.
    pub trace: Vec<String>,
}

impl Report {
    pub fn add(&mut self, other: &Self) {
        self.faults.add(&other.faults);
        self.puts += other.puts;
        self.gets += other.gets;
        self.unknown += other.unknown;
        self.elapsed_us += other.elapsed_us;
    }
}

/// What the clients of a run share.
#[derive(Default)]
struct Record {
    report: Report,
    histories: BTreeMap<(GroupId, String), History>,
    acknowledged: BTreeMap<GroupId, Vec<String>>,
    stop: bool,
}

type Shared = Arc<Mutex<Record>>;

fn with<T>(record: &Shared, change: impl FnOnce(&mut Record) -> T) -> T {
    change(&mut record.lock().unwrap_or_else(PoisonError::into_inner))
}

fn now_us() -> u64 {
    SimInstant::try_now().map_or(0, |now| now.elapsed_since_start().as_micros() as u64)
}
