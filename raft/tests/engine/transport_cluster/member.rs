//! A node with one replica, and what a test asks of several.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::Instant;
use rowhouse_raft::log_store::{LogEngine, TailBudget};
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::{KvCommand, KvMachine, LossyLog, LossyOptions, MemoryState};
use rowhouse_raft::state::{StateEngine, StateStore};
use rowhouse_raft::transport::{BulkOptions, NodeUuid, Room, Transport, Wire};
use rowhouse_raft::{
    Error, Group, GroupId, GroupSpec, Host, HostOptions, LogKeep, Machine, RaftTiming, Replica, ReplicaId,
};

pub const GROUP: GroupId = 7;
/// Generous: tests wait by condition.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(20);

pub fn node(number: u8) -> NodeUuid {
    [number; 16]
}

pub fn replica(number: u8) -> ReplicaId {
    100 + ReplicaId::from(number)
}

/// What survives a node.
pub struct Disks<R: Runtime> {
    /// What its node is told to keep.
    pub keep: LogKeep,
    /// What it has for snapshots.
    pub room: Option<Room>,
    pub log: Arc<LossyLog<R>>,
    pub state: Arc<MemoryState>,
    pub staging: tempfile::TempDir,
}

impl<R: Runtime> Disks<R> {
    pub fn new() -> Self {
        Self {
            keep: LogKeep::default(),
            room: None,
            log: LossyLog::new(LossyOptions::default()),
            state: Arc::new(MemoryState::new()),
            staging: tempfile::tempdir().expect("a directory"),
        }
    }
}

pub struct Member<R: Runtime> {
    pub number: u8,
    pub host: Arc<Host<R>>,
    pub group: Arc<Group<R>>,
    #[allow(dead_code, reason = "not every test reaches below the group")]
    pub transport: Arc<Transport<R>>,
    pub store: Arc<StateStore>,
    #[allow(dead_code, reason = "not every test restarts a node")]
    pub disks: Disks<R>,
}

impl<R: Runtime> Member<R> {
    pub async fn start(number: u8, wire: Arc<dyn Wire>, disks: Disks<R>) -> Self {
        Self::start_with(number, wire, disks, RaftTiming::default()).await
    }

    pub async fn start_with(number: u8, wire: Arc<dyn Wire>, disks: Disks<R>, timing: RaftTiming) -> Self {
        Self::try_start(number, wire, disks, timing, Arc::new(KvMachine)).await.expect("a replica")
    }

    /// With another machine than the map's own.
    pub async fn try_start(
        number: u8,
        wire: Arc<dyn Wire>,
        disks: Disks<R>,
        timing: RaftTiming,
        machine: Arc<dyn Machine>,
    ) -> Result<Self, Error> {
        let staging = disks.staging.path().to_owned();
        let bulk = BulkOptions { room: disks.room.clone(), ..BulkOptions::from(staging.clone()) };
        let transport = Transport::<R>::new(wire, bulk, timing);
        let log: Arc<dyn LogEngine> = disks.log.clone();
        let engine: Arc<dyn StateEngine> = disks.state.clone();
        let store = StateStore::open(engine, staging).expect("a store");
        let host = Host::new(HostOptions {
            log,
            state: store.clone(),
            transport: transport.clone(),
            tail: TailBudget::new(16 << 20),
            keep: disks.keep,
        });
        let spec = GroupSpec { group: GROUP, replica: replica(number), machine };
        let group = host.start(spec).await?;
        Ok(Self { number, host, group, transport, store, disks })
    }

    pub fn get(&self, key: &str) -> Option<Bytes> {
        self.group.read_latest(|view| KvMachine::get(view, key.as_bytes())).expect("readable")
    }

    pub fn records(&self) -> Vec<(Bytes, Bytes)> {
        self.group.read(KvMachine::records).expect("readable")
    }
}

pub async fn initialize<R: Runtime>(members: &[Member<R>]) {
    let voters: BTreeMap<_, _> = members
        .iter()
        .map(|member| (replica(member.number), Replica { node_uuid: node(member.number) }))
        .collect();
    members[0].group.initialize(voters).await.expect("a new group");
}

/// Waits until `done`.
pub async fn until<R: Runtime>(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = R::Instant::now() + PATIENCE;
    while !done() {
        assert!(R::Instant::now() < deadline, "never: {what}");
        R::sleep(POLL).await;
    }
}

/// The member that leads, once one does.
pub async fn leader<R: Runtime>(members: &[Member<R>]) -> &Member<R> {
    until::<R>("a leader", || members.iter().any(|member| member.group.is_leader())).await;
    members.iter().find(|member| member.group.is_leader()).unwrap_or(&members[0])
}

/// Writes through whoever leads, with the same request id until it is done.
pub async fn put<R: Runtime>(members: &[Member<R>], key: &str, value: &str) {
    let mut request = [0; 16];
    request.copy_from_slice(&blake_16(key));
    let command = KvCommand::put(request, key.to_owned(), value.to_owned()).encode();
    let deadline = R::Instant::now() + PATIENCE;
    loop {
        for member in members.iter().filter(|member| member.group.is_leader()) {
            if member.group.propose(command.clone(), Bytes::new()).await.is_ok() {
                return;
            }
        }
        assert!(R::Instant::now() < deadline, "{key} is never written");
        R::sleep(POLL).await;
    }
}

fn blake_16(key: &str) -> [u8; 16] {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::hash(key.as_bytes()).as_bytes()[..16]);
    id
}

/// Waits until every member has `value`.
pub async fn replicated<R: Runtime>(members: &[Member<R>], key: &str, value: &str) {
    for member in members {
        let what = format!("{key} on node {}", member.number);
        until::<R>(&what, || member.get(key).is_some_and(|found| found == value)).await;
    }
}

/// Drops a member's log up to what it has applied, and returns that index.
pub async fn purge<R: Runtime>(member: &Member<R>) -> u64 {
    let applied = member.group.status().applied;
    member.store.flush_all().expect("flushed");
    member.group.trigger_snapshot().await.expect("a core");
    let deadline = R::Instant::now() + PATIENCE;
    while member.group.status().purged < applied {
        assert!(R::Instant::now() < deadline, "the log is never purged");
        member.group.raft().trigger().purge_log(applied).await.expect("a core");
        R::sleep(POLL).await;
    }
    applied
}
