//! A host with groups of one voter each, in simulation.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use futures::future::join_all;
use openraft::async_runtime::watch::WatchReceiver;
use openraft::{AsyncRuntime, LogIdOptionExt};

use super::{GroupSpec, Host, HostOptions, LogKeep};
use crate::config::RaftTiming;
use crate::group::{CheckPace, Group, GroupRole};
use crate::log_store::TailBudget;
use crate::sim::{KvCommand, KvMachine, LossyLog, LossyOptions, MemoryState, SimNet, SimWeather, Simulation};
use crate::state::{StateStore, Txn};
use crate::transport::{NodeUuid, Transport};
use crate::{EntryContext, Error, GroupId, Machine, Replica, ReplicaId};

const ME: NodeUuid = [1; 16];
/// Entries between two snapshots.
const STEP_ENTRIES: u64 = 1_000;
/// A span of simulated time.
const PATIENCE: u32 = 6_000;
const POLL: Duration = Duration::from_millis(10);

fn simulate<T>(test: impl Future<Output = T>) -> T {
    Simulation::with_seed(1).block_on(test)
}

struct Fixture {
    host: Arc<Host<Simulation>>,
    log: Arc<LossyLog<Simulation>>,
}

impl Fixture {
    fn new() -> Self {
        Self::over(LossyLog::new(LossyOptions::default()), RaftTiming::default())
    }

    fn over(log: Arc<LossyLog<Simulation>>, timing: RaftTiming) -> Self {
        let net = SimNet::<Simulation>::new(SimWeather::default());
        let state = StateStore::open(Arc::new(MemoryState::new()), PathBuf::new()).expect("open the store");
        let host = Host::new(HostOptions {
            log: log.clone(),
            state,
            transport: Transport::new(net.wire(ME), PathBuf::new(), timing),
            tail: TailBudget::new(1 << 20),
            keep: LogKeep { step_entries: STEP_ENTRIES, ..LogKeep::default() },
        });
        Self { host, log }
    }

    /// Starts a group and waits until it leads itself.
    async fn lead(&self, group: GroupId) -> Arc<Group<Simulation>> {
        self.lead_with(group, Arc::new(KvMachine)).await
    }

    async fn lead_with(&self, group: GroupId, machine: Arc<dyn Machine>) -> Arc<Group<Simulation>> {
        let started = self.host.start(GroupSpec { machine, ..spec(group) }).await.expect("starts");
        let voter = BTreeMap::from([(replica(group), Replica { node_uuid: ME })]);
        started.initialize(voter).await.expect("initializes");
        eventually("leads", || started.is_leader()).await;
        started
    }
}

fn replica(group: GroupId) -> ReplicaId {
    100 + ReplicaId::from(group)
}

fn spec(group: GroupId) -> GroupSpec {
    GroupSpec { group, replica: replica(group), machine: Arc::new(KvMachine) }
}

async fn eventually(what: &str, done: impl Fn() -> bool) {
    for _ in 0..PATIENCE {
        if done() {
            return;
        }
        Simulation::sleep(POLL).await;
    }
    panic!("never: {what}");
}

#[test]
fn a_core_that_panicked_is_a_problem_and_starts_again() {
    simulate(async {
        let node = Fixture::new();
        let group = node.lead(1).await;
        assert_eq!(group.status().problem, None);
        let panics = group.raft().external_request(|_| panic!("a bug in the core"));
        panics.await.expect("the core takes the request");
        eventually("noticed", || group.status().problem.is_some()).await;
        let status = group.status();
        assert_eq!(status.role, GroupRole::Broken);
        assert!(status.problem.is_some_and(|problem| problem.contains("panicked")));
        node.host.stop(1).await;
        let again = node.host.start(spec(1)).await.expect("starts again");
        eventually("leads again", || again.is_leader()).await;
    });
}

/// Knows the map's commands but one, as a program does that a newer one has outrun.
struct Older;

const NEWER_KEY: &[u8] = b"newer";

impl Machine for Older {
    fn apply(&self, context: EntryContext<'_>, command: &Bytes, txn: &mut Txn<'_>) -> Result<Bytes, Error> {
        match KvCommand::decode(command)? {
            KvCommand::Put { key, .. } if key == NEWER_KEY => {
                let EntryContext { group, index, .. } = context;
                let detail = "command version 3, this program knows 2".to_owned();
                Err(Error::Unapplicable { group, index, detail })
            }
            _ => KvMachine.apply(context, command, txn),
        }
    }
}

#[test]
fn an_entry_it_cannot_apply_stops_that_replica_until_a_program_comes_that_can() {
    simulate(async {
        let node = Fixture::new();
        let (group, other) = (node.lead_with(1, Arc::new(Older)).await, node.lead(2).await);
        write(&group, 3).await;
        let before = group.applied();
        let command = KvCommand::put([0xFF; 16], NEWER_KEY, "value").encode();
        group.propose(command, Bytes::new()).await.expect_err("it has no outcome");
        eventually("noticed", || group.status().problem.is_some()).await;
        let status = group.status();
        let problem = status.problem.unwrap_or_default();
        assert_eq!(status.role, GroupRole::Broken);
        let index = before.log_id.index().unwrap_or(0) + 1;
        for told in [&format!("entry {index} of group 1"), "version 3", "knows 2"] {
            assert!(problem.contains(told), "{problem}");
        }
        assert_eq!(group.applied(), before, "it does not count as applied");
        group.read_barrier().await.expect_err("it serves nothing");
        write(&other, 3).await;

        node.host.stop(1).await;
        let older = GroupSpec { machine: Arc::new(Older), ..spec(1) };
        let again = node.host.start(older).await.err().expect("it meets the entry again");
        assert!(
            matches!(&again, Error::Halted(why) if matches!(**why, Error::Unapplicable { .. })),
            "{again}"
        );

        let upgraded = node.host.start(spec(1)).await.expect("it goes on from there");
        eventually("leads", || upgraded.is_leader()).await;
        upgraded.read_barrier().await.expect("serves");
        let found = upgraded.read_latest(|view| KvMachine::get(view, NEWER_KEY)).expect("readable");
        assert_eq!(found, Some(Bytes::from_static(b"value")));
        write(&upgraded, 1).await;
    });
}

#[test]
fn replicas_compare_after_writes_and_an_idle_group_writes_nothing() {
    simulate(async {
        let node = Fixture::new();
        let group = node.lead(1).await;
        write(&group, 5).await;
        let pace = CheckPace { entries: 100, wait: Duration::from_secs(60) };
        let written = last_applied(&group);
        node.host.check_states(&pace).await;
        assert_eq!(last_applied(&group), written, "not yet");
        Simulation::sleep(pace.wait).await;
        for _ in 0..2 {
            node.host.check_states(&pace).await;
        }
        let checked = group.applied();
        assert_eq!((last_applied(&group), checked.checked, checked.noted), (written + 2, written + 2, None));
        for _ in 0..10 {
            Simulation::sleep(pace.wait).await;
            node.host.check_states(&pace).await;
        }
        assert_eq!(last_applied(&group), written + 2, "nothing new to compare");
        write(&group, pace.entries).await;
        node.host.check_states(&pace).await;
        assert!(group.applied().noted.is_some(), "at once after so many");
    });
}

#[test]
fn a_group_that_is_written_to_steadily_compares_at_its_pace() {
    simulate(async {
        let node = Fixture::new();
        let group = node.lead(1).await;
        let pace = CheckPace { entries: 1_000, wait: Duration::from_secs(60) };
        let mut compared = BTreeSet::new();
        for _ in 0..180 {
            write(&group, 1).await;
            node.host.check_states(&pace).await;
            compared.insert(group.applied().checked);
            Simulation::sleep(Duration::from_secs(1)).await;
        }
        // A comparison changes what is checked twice: by its note, and by its end.
        assert!((2..=2 * 3 + 1).contains(&compared.len()), "{compared:?}");
    });
}

fn last_applied(group: &Group<Simulation>) -> u64 {
    group.applied().log_id.index().unwrap_or(0)
}

#[test]
fn a_restart_with_a_shorter_lease_keeps_what_was_promised_before() {
    simulate(async {
        let long = RaftTiming { election_max_ms: 5_000, ..RaftTiming::default() };
        let before = Fixture::over(LossyLog::new(LossyOptions::default()), long);
        before.lead(1).await;
        before.host.shutdown().await.expect("stops");
        let after = Fixture::over(before.log.clone(), RaftTiming::default());
        let group = after.host.start(spec(1)).await.expect("starts");
        Simulation::sleep(long.lease() - POLL).await;
        assert!(!group.is_leader(), "it may have promised to elect nobody for so long");
        eventually("leads", || group.is_leader()).await;
    });
}

/// Applies so many entries.
async fn write(group: &Group<Simulation>, entries: u64) {
    for number in group.status().applied..group.status().applied + entries {
        let command = KvCommand::put(u128::from(number).to_be_bytes(), "key", "value");
        group.propose(command.encode(), Bytes::new()).await.expect("applied");
    }
}

fn snapshot(group: &Group<Simulation>) -> u64 {
    group.raft().metrics().borrow_watched().snapshot.index().unwrap_or(0)
}

#[test]
fn an_ended_group_keeps_no_other_log_from_shrinking() {
    simulate(async {
        let node = Fixture::new();
        let (first, second) = (node.lead(1).await, node.lead(2).await);
        write(&first, STEP_ENTRIES + 10).await;
        write(&second, STEP_ENTRIES + 10).await;
        first.raft().shutdown().await.expect("ends");
        node.host.flush().await.expect("the others matter");
        eventually("a snapshot", || snapshot(&second) > STEP_ENTRIES).await;
    });
}

#[test]
fn a_snapshot_is_taken_only_for_what_the_last_one_lacks() {
    simulate(async {
        let node = Fixture::new();
        let group = node.lead(1).await;
        write(&group, STEP_ENTRIES + 10).await;
        node.host.flush().await.expect("flushes");
        eventually("a snapshot", || snapshot(&group) > 0).await;
        let taken = snapshot(&group);
        write(&group, 10).await;
        node.host.flush().await.expect("flushes");
        Simulation::sleep(Duration::from_secs(1)).await;
        assert_eq!(snapshot(&group), taken, "for ten entries more");
        write(&group, STEP_ENTRIES).await;
        node.host.flush().await.expect("flushes");
        eventually("the next snapshot", || snapshot(&group) > taken).await;
    });
}

#[test]
fn starts_of_different_groups_overlap() {
    simulate(async {
        let node = Fixture::new();
        let mut starts = Box::pin(join_all((1..=5).map(|group| node.host.start(spec(group)))));
        assert!(starts.as_mut().now_or_never().is_none());
        assert_eq!(node.log.unsynced(), 5, "one sync serves all");
        assert!(starts.await.iter().all(Result::is_ok));
        assert_eq!(node.host.groups().len(), 5);
    });
}

#[test]
fn starts_of_one_group_come_one_after_the_other() {
    simulate(async {
        let node = Fixture::new();
        let other = GroupSpec { replica: replica(2), ..spec(1) };
        let (first, again, other) =
            futures::join!(node.host.start(spec(1)), node.host.start(spec(1)), node.host.start(other));
        let (first, again) = (first.expect("starts"), again.expect("a repeat is harmless"));
        assert!(Arc::ptr_eq(&first, &again));
        assert!(matches!(other.err(), Some(Error::Raft { group: 1, .. })), "another replica runs");
        let (_, restarted) = futures::join!(node.host.stop(1), node.host.start(spec(1)));
        assert!(!Arc::ptr_eq(&first, &restarted.expect("starts anew")));
    });
}

#[test]
fn nothing_runs_or_starts_after_a_shutdown() {
    simulate(async {
        let node = Fixture::new();
        node.host.start(spec(1)).await.expect("starts");
        let (under_way, stopped) = futures::join!(node.host.start(spec(2)), node.host.shutdown());
        under_way.expect("it began before");
        stopped.expect("stops");
        assert_eq!(node.host.groups().len(), 0);
        for group in 1..=3 {
            assert!(matches!(node.host.start(spec(group)).await.err(), Some(Error::Stopped)));
        }
    });
}
