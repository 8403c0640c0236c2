//! The simulated machines of a cluster that grows and shrinks. Their disks outlive the processes on them until the
//! script takes them away.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use openraft::AsyncRuntime;
use rowhouse_node::apply::ShardMachine;
use rowhouse_node::clock::Clock;
use rowhouse_node::meta::{self, MetaMachine};
use rowhouse_node::placement::Fence;
use rowhouse_proto::COMMAND_VERSIONS;
use rowhouse_proto::domain::event::EventIds;
use rowhouse_proto::wire::command::command::Body;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_raft::lock::lock;
use rowhouse_raft::log_store::TailBudget;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::{LossyLog, LossyOptions, MemoryState, SimNet, SimWeather, Simulation};
use rowhouse_raft::state::StateStore;
use rowhouse_raft::transport::Transport;
use rowhouse_raft::{Error, Group, GroupId, Host, HostOptions, LogKeep, Machine, RaftTiming, ReplicaId};

use tokio::sync::mpsc;

use super::ledger::Ledger;
use super::objects::Objects;
use crate::cluster::{TAIL_BYTES, open_clock};
use crate::load::{now_us, path, user_of};
use crate::nodes::{GatewayClock, NodeUuid, Nodes};
use crate::probe;

pub const SHARD_COUNT: u32 = 2;
/// Hardly any, so that replicas that were away meet purged logs.
const KEEP: LogKeep = LogKeep {
    entries_min: 10,
    span: Duration::from_secs(1),
    replica_bytes_max: 64 * 1024,
    node_bytes_max: 256 * 1024,
    step_entries: 10,
};
/// Paths of each shard: a few that are written all the time, the others once.
pub const PATHS: u64 = 9;
/// Processes that start at once.
const STARTS_MAX: usize = 64;
/// Maps of before that a restarted process may be told first.
const OLD_MAPS_MAX: usize = 6;

struct SimMachine {
    uuid: NodeUuid,
    log: Arc<LossyLog<Simulation>>,
    state: Arc<MemoryState>,
    clock_error_us: Arc<AtomicI64>,
    life: Option<Arc<Life>>,
    old_maps: VecDeque<ClusterMap>,
    /// Its disk is no more.
    gone: bool,
}

/// One process, from its start to its crash.
pub struct Life {
    pub node: usize,
    pub uuid: NodeUuid,
    pub host: Arc<Host<Simulation>>,
    pub clock: Arc<Clock>,
    pub fence: Fence,
    /// The newest map that it was told.
    pub map: Mutex<ClusterMap>,
    /// When it heard of each other node last, µs.
    pub heard_us: Mutex<BTreeMap<NodeUuid, u64>>,
    /// Index up to which each replica looked for its objects, and how many it lacks.
    pub looked: Mutex<BTreeMap<ReplicaId, (u64, u64)>>,
    ended: AtomicBool,
}

impl Life {
    pub fn has_ended(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    pub fn map(&self) -> ClusterMap {
        lock(&self.map).clone()
    }
}

struct Inner {
    started: mpsc::Sender<Arc<Life>>,
    machines: Mutex<Vec<SimMachine>>,
    net: SimNet<Simulation>,
    ledger: Mutex<Ledger>,
    objects: Mutex<Objects>,
    gateway: GatewayClock,
}

/// Handles to the machines; cheap to clone.
#[derive(Clone)]
pub struct World(Arc<Inner>);

/// Event ids of a cluster of so many shards.
pub fn ids() -> EventIds {
    EventIds::new(SHARD_COUNT).unwrap_or_else(|| panic!("{SHARD_COUNT} is a power of two"))
}

/// What applies a group's commands.
pub fn machine(group: GroupId) -> Arc<dyn Machine> {
    if group == meta::GROUP {
        Arc::new(MetaMachine::default())
    } else {
        Arc::new(ShardMachine::new(ids(), COMMAND_VERSIONS, [0; 32]))
    }
}

impl World {
    /// No machine yet. The queue has each process that starts.
    pub fn new() -> (Self, mpsc::Receiver<Arc<Life>>) {
        let (started, starts) = mpsc::channel(STARTS_MAX);
        let world = Self(Arc::new(Inner {
            started,
            machines: Mutex::default(),
            net: SimNet::new(SimWeather::default()),
            ledger: Mutex::default(),
            objects: Mutex::default(),
            gateway: GatewayClock::default(),
        }));
        (world, starts)
    }

    /// Hands a process to its supervisor.
    pub fn supervise(&self, life: Arc<Life>) {
        assert!(self.0.started.try_send(life).is_ok(), "the supervisors follow");
    }

    pub fn net(&self) -> &SimNet<Simulation> {
        &self.0.net
    }

    pub fn ledger(&self) -> MutexGuard<'_, Ledger> {
        lock(&self.0.ledger)
    }

    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        lock(&self.0.objects)
    }

    fn machine<T>(&self, node: usize, with: impl FnOnce(&mut SimMachine) -> T) -> T {
        with(&mut lock(&self.0.machines)[node])
    }

    /// A new machine with an empty disk. Returns its number.
    pub fn add(&self) -> usize {
        let mut machines = lock(&self.0.machines);
        let node = machines.len();
        machines.push(SimMachine {
            uuid: [node as u8 + 1; 16],
            log: LossyLog::new(LossyOptions::default()),
            state: Arc::new(MemoryState::new()),
            clock_error_us: Arc::default(),
            life: None,
            old_maps: VecDeque::new(),
            gone: false,
        });
        node
    }

    pub fn uuid(&self, node: usize) -> NodeUuid {
        self.machine(node, |machine| machine.uuid)
    }

    /// Machines whose disks exist, whether they run or not.
    pub fn living(&self) -> Vec<usize> {
        let machines = lock(&self.0.machines);
        (0..machines.len()).filter(|node| !machines[*node].gone).collect()
    }

    /// The processes that run.
    pub fn lives(&self) -> Vec<Arc<Life>> {
        lock(&self.0.machines).iter().filter_map(|machine| machine.life.clone()).collect()
    }

    pub fn life(&self, node: usize) -> Option<Arc<Life>> {
        self.machine(node, |machine| machine.life.clone())
    }

    pub fn life_of(&self, uuid: &[u8]) -> Option<Arc<Life>> {
        self.lives().into_iter().find(|life| life.uuid == uuid)
    }

    pub fn set_clock_error(&self, node: usize, error_us: i64) {
        self.machine(node, |machine| machine.clock_error_us.store(error_us, Ordering::Relaxed));
    }

    /// Opens a machine's disks. It knows no map, or is told one of before.
    pub fn open(&self, node: usize) -> Result<Arc<Life>, Error> {
        let (uuid, log, state, error_us, map) = self.machine(node, |machine| {
            let known = machine.old_maps.len();
            let told = Simulation::random_u64() as usize % (2 * known + 1);
            let map = machine.old_maps.get(told).cloned().unwrap_or_default();
            (machine.uuid, machine.log.clone(), machine.state.clone(), machine.clock_error_us.clone(), map)
        });
        let clock = open_clock(&log, &error_us);
        clock.judge_alone();
        self.net().restart(uuid);
        let transport = Transport::new(self.net().wire(uuid), PathBuf::new(), RaftTiming::default());
        let host = Host::new(HostOptions {
            log,
            state: StateStore::open(state, PathBuf::new())?,
            transport,
            tail: TailBudget::new(TAIL_BYTES),
            keep: KEEP,
        });
        let life = Arc::new(Life {
            node,
            uuid,
            host,
            clock,
            fence: Fence::default(),
            map: Mutex::new(map),
            heard_us: Mutex::default(),
            looked: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        self.machine(node, |machine| machine.life = Some(life.clone()));
        Ok(life)
    }

    /// Power is cut in the middle of whatever is done: what was not synced is gone, but for a first part of it.
    pub fn crash(&self, node: usize) {
        let life = self.machine(node, |machine| {
            let life = machine.life.take()?;
            life.ended.store(true, Ordering::Relaxed);
            machine.log = machine.log.crash(Simulation::random_u64() as usize % (machine.log.unsynced() + 1));
            let survives = Simulation::random_u64() as usize % (machine.state.unflushed() + 1);
            machine.state = Arc::new(machine.state.after_crash(survives));
            Some(life)
        });
        let Some(life) = life else { return };
        self.net().crash(life.uuid);
        // It can do nothing any more; only its tasks must end.
        drop(Simulation::spawn(async move { drop(life.host.shutdown().await) }));
    }

    /// The machine never comes back, nor anything that was on its disk.
    pub fn lose(&self, node: usize) {
        self.crash(node);
        let held = self.machine(node, |machine| {
            machine.gone = true;
            rowhouse_raft::log_store::ReplicaRecord::all(machine.log.as_ref()).unwrap_or_default()
        });
        for (replica, record) in held {
            self.forget(record.group, replica);
        }
    }

    /// What a replica held is gone.
    pub fn forget(&self, group: GroupId, replica: ReplicaId) {
        let live = self.live_objects(group);
        for value in self.objects().lose(replica, &live) {
            self.ledger()
                .violate(format!("group {group}: replica {replica} had the last copy of object {value}"));
        }
    }

    /// A process is told a map; an older one than it has changes nothing.
    pub fn tell_map(&self, life: &Life, map: ClusterMap) {
        let mut known = lock(&life.map);
        if map.map_version <= known.map_version {
            return;
        }
        *known = map.clone();
        self.machine(life.node, |machine| {
            machine.old_maps.push_back(map);
            if machine.old_maps.len() > OLD_MAPS_MAX {
                machine.old_maps.pop_front();
            }
        });
    }

    /// The newest map that any replica of the meta group has applied.
    pub fn newest_map(&self) -> ClusterMap {
        let applied = self.lives().into_iter().filter_map(|life| applied_map(&life));
        applied.max_by_key(|map| map.map_version).unwrap_or_default()
    }

    /// The objects that the most advanced replica of a group refers to.
    pub fn live_objects(&self, group: GroupId) -> Vec<u64> {
        let replicas = self.lives().into_iter().filter_map(|life| life.host.group(group));
        let newest = replicas.max_by_key(|handle| handle.applied().log_id.map_or(0, |log_id| log_id.index));
        newest.map(|handle| objects_of(&handle)).unwrap_or_default()
    }
}

/// The map as the meta replica of a process has applied it.
pub fn applied_map(life: &Life) -> Option<ClusterMap> {
    let group = life.host.group(meta::GROUP)?;
    group.read(|view| meta::cluster_map(view)).ok().flatten()
}

/// The objects that a replica's applied state refers to.
pub fn objects_of(handle: &Group<Simulation>) -> Vec<u64> {
    if !super::objects::has_objects(handle.id()) {
        return Vec::new();
    }
    let user = user_of(handle.id());
    (0..PATHS).filter_map(|number| probe::value(handle, &user, &path(number)).ok().flatten()).collect()
}

/// The object that a command puts.
fn object(body: &Body) -> Option<u64> {
    match body {
        Body::PutEntry(put) => std::str::from_utf8(&put.body).ok()?.parse().ok(),
        _ => None,
    }
}

impl Nodes for World {
    fn count(&self) -> usize {
        lock(&self.0.machines).len()
    }

    fn group(&self, node: usize, group: GroupId) -> Option<Arc<Group<Simulation>>> {
        self.life(node)?.host.group(group)
    }

    fn clock(&self, node: usize) -> Option<Arc<Clock>> {
        Some(self.life(node)?.clock.clone())
    }

    fn node_of(&self, uuid: Option<NodeUuid>) -> Option<usize> {
        lock(&self.0.machines).iter().position(|machine| Some(machine.uuid) == uuid)
    }

    fn gateway(&self) -> &GatewayClock {
        &self.0.gateway
    }

    fn upload(&self, at: &Group<Simulation>, body: &Body) -> bool {
        let Some(value) = object(body) else { return true };
        let up = |replica: ReplicaId| {
            let disk = self.ledger().disk_of(replica);
            disk.is_some_and(|disk| self.life_of(&disk).is_some())
        };
        let up: Vec<ReplicaId> = at
            .members()
            .all_voters()
            .into_iter()
            .chain(at.members().learners)
            .filter(|replica| up(*replica))
            .collect();
        self.objects().upload(value, &at.members(), |replica| up.contains(&replica))
    }

    fn acknowledge(&self, at: &Group<Simulation>, body: &Body) {
        if let Some(value) = object(body) {
            self.objects().keep(value, &at.members());
        }
    }
}

/// When a process heard of a node last, if it did; in virtual time.
pub fn silence(life: &Life, node: &NodeUuid) -> Option<std::time::Duration> {
    if *node == life.uuid {
        return Some(std::time::Duration::ZERO);
    }
    let heard_us = lock(&life.heard_us).get(node).copied()?;
    Some(std::time::Duration::from_micros(now_us().saturating_sub(heard_us)))
}
