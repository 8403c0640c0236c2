//! The load of a run: clients that write and read a few paths of each shard, and what they saw.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft_rt_sim::SimInstant;
use rowhouse_chaos_tests::history::{Action, History, Key, Operation, Outcome};
use rowhouse_proto::ErrorCode;
use rowhouse_raft::GroupId;
use rowhouse_raft::lock::lock;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;

use crate::audit::Audit;
use crate::client::{Answer, SimUser, execute, read};
use crate::nemesis::Faults;
use crate::nodes::Nodes;
use crate::trace::tell;

/// Two shards: enough for one node to lead one and follow the other.
pub const GROUPS: [GroupId; 2] = [0, 1];
const CLIENTS_PER_GROUP: u32 = 3;
/// Few paths, so that clients meet on them.
pub const PATHS: u64 = 3;
/// The course of a run; two runs of a seed are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    pub faults: Faults,
    pub puts: u32,
    pub gets: u32,
    pub unknown: u32,
    pub audit: Audit,
    /// Nodes accepted by the meta group.
    pub registered: u32,
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
        self.audit.add(&other.audit);
        self.registered += other.registered;
        self.elapsed_us += other.elapsed_us;
    }
}

/// State that the clients of a run share.
#[derive(Default)]
pub struct Record {
    pub report: Report,
    pub history: History,
    pub stop: bool,
}

pub type Shared = Arc<Mutex<Record>>;
type JoinHandle = <Simulation as AsyncRuntime>::JoinHandle<()>;

pub fn with<T>(record: &Shared, change: impl FnOnce(&mut Record) -> T) -> T {
    change(&mut lock(record))
}

/// Virtual time since the run began.
pub fn now_us() -> u64 {
    SimInstant::try_now().map_or(0, |now| now.elapsed_since_start().as_micros() as u64)
}

pub fn path(number: u64) -> String {
    format!("/pub/sim/{number}")
}

/// The users of all groups, by the cluster's own time.
pub async fn sign_up(cluster: &impl Nodes, seed: u64) {
    cluster.hear(0);
    for group in GROUPS {
        let user = user_of(group);
        let signup = execute(cluster, group, user.signup(cluster.gateway().issued_at_us())).await;
        assert!(
            matches!(&signup, Answer::Done(outcome) if outcome.code == 0),
            "seed {seed}: signup: {signup:?}"
        );
    }
}

/// How busy clients are.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub clients_per_group: u32,
    /// The longest pause between two operations of a client, ms.
    pub pause_ms_max: u64,
}

/// As clients of a run of half a minute.
pub const BUSY: Pace = Pace { clients_per_group: CLIENTS_PER_GROUP, pause_ms_max: 60 };

pub fn spawn_clients(cluster: &impl Nodes, record: &Shared, pace: Pace) -> Vec<JoinHandle> {
    GROUPS
        .into_iter()
        .flat_map(|group| (0..pace.clients_per_group).map(move |client| (group, client)))
        .map(|(group, client)| {
            Simulation::spawn(use_homeserver(cluster.clone(), record.clone(), (group, client), pace))
        })
        .collect()
}

pub fn user_of(group: GroupId) -> SimUser {
    SimUser::new(group as u8 + 1)
}

/// One client: puts and reads on few paths until told to stop.
async fn use_homeserver(cluster: impl Nodes, record: Shared, (group, client): (GroupId, u32), pace: Pace) {
    let user = user_of(group);
    let mut next_value = u64::from(group) * 100_000_000 + u64::from(client) * 10_000_000;
    while !with(&record, |record| record.stop) {
        let key = Key { user: usize::from(group), path: path(Simulation::random_u64() % PATHS) };
        let called_ns = now_us() * 1000;
        let (action, outcome) = if Simulation::random_u64().is_multiple_of(2) && !cluster.is_quiet() {
            next_value += 1;
            (Action::Put(next_value), put(&cluster, group, &user, &key.path, next_value).await)
        } else {
            let outcome = match read(&cluster, group, &user, &key.path).await {
                Answer::Done(value) => Outcome::Saw(value),
                Answer::Unknown => Outcome::Unknown,
            };
            (Action::Read, outcome)
        };
        note(&record, Operation { key, action, called_ns, returned_ns: now_us() * 1000, outcome });
        Simulation::sleep(Duration::from_millis(1 + Simulation::random_u64() % pace.pause_ms_max)).await;
    }
}

async fn put(cluster: &impl Nodes, group: GroupId, user: &SimUser, path: &str, value: u64) -> Outcome {
    match execute(cluster, group, user.put(path, value)).await {
        Answer::Done(outcome) if outcome.code == 0 => Outcome::Done,
        // Too old to be deduplicated: an earlier try may have been applied.
        Answer::Done(outcome) if outcome.code == ErrorCode::RequestExpired.number() => Outcome::Unknown,
        Answer::Done(outcome) => panic!("put refused: {outcome:?}"),
        Answer::Unknown => Outcome::Unknown,
    }
}

/// Adds an operation to the history.
pub fn note(record: &Shared, operation: Operation) {
    tell(|| format!("{operation:?}"));
    with(record, |record| {
        match operation.action {
            Action::Read => record.report.gets += 1,
            _ => record.report.puts += 1,
        }
        record.report.unknown += u32::from(operation.outcome == Outcome::Unknown);
        record.report.trace.push(format!("{operation:?}"));
        record.history.operations.push(operation);
    });
}
