//! Nodes whose machines boot with clocks hours or decades off, one or all of them, under load; then they are
//! restarted with correct ones, one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use openraft::AsyncRuntime;
use openraft_rt_sim::SimRuntime;
use rowhouse_chaos_tests::history::{Action, Outcome};
use rowhouse_node::read;
use rowhouse_raft::GroupId;
use rowhouse_raft::runtime::Runtime;
use rowhouse_raft::sim::Simulation;

use crate::auditor;
use crate::client::{Answer, execute};
use crate::cluster::{Clocks, NODES, SimCluster};
use crate::load::{BUSY, GROUPS, Report, Shared, sign_up, spawn_clients, user_of, with};
use crate::nodes::Nodes;
use crate::run::{check, ids, machines, recover};

const SECOND_US: i64 = 1_000_000;
const MINUTE_US: i64 = 60 * SECOND_US;
const HOUR_US: i64 = 60 * MINUTE_US;
const DAY_US: i64 = 24 * HOUR_US;
/// Ahead, and behind as far as a clock that counts from 1970 can be.
pub const ERRORS_US: [i64; 8] = [
    8 * HOUR_US,
    DAY_US,
    80 * 365 * DAY_US,
    -8 * HOUR_US,
    -DAY_US,
    -50 * 365 * DAY_US,
    15 * MINUTE_US,
    -15 * MINUTE_US,
];

/// As pings.
const ROUND: Duration = Duration::from_secs(1);
/// Several elections long.
const PHASE: Duration = Duration::from_secs(5);
const DOWN: Duration = Duration::from_millis(700);
/// A leader's clock may differ so much from the truth without being corrected.
const FROM_TRUTH_MS_MAX: u64 = 60_000;

/// Runs one seed; panics, naming it, if anything that must hold does not.
pub fn run(seed: u64, errors_us: [i64; NODES]) -> Report {
    let mut runtime = SimRuntime::with_seed(seed);
    runtime.block_on(simulate(seed, errors_us))
}

async fn simulate(seed: u64, errors_us: [i64; NODES]) -> Report {
    let cluster = SimCluster::new(machines(), Clocks::Judged);
    for (node, error_us) in errors_us.into_iter().enumerate() {
        cluster.set_clock_error(node, error_us);
    }
    cluster.bootstrap().await.unwrap_or_else(|error| panic!("seed {seed}: bootstrap: {error}"));
    let over = Arc::new(AtomicBool::new(false));
    let pings = Simulation::spawn(ping(cluster.clone(), over.clone()));
    let record = Shared::default();
    sign_up(&cluster, seed).await;
    let clients = spawn_clients(&cluster, &record, BUSY);
    let auditor = auditor::spawn(&cluster, &record, ids(), seed);

    Simulation::sleep(PHASE).await;
    let wrong = puts_done(&record);
    assert!(wrong > 0, "seed {seed}: a cluster serves whatever its clocks say");
    for node in 0..NODES {
        cluster.crash(node).await;
        Simulation::sleep(DOWN).await;
        cluster.set_clock_error(node, 0);
        cluster.restart(node).await;
        Simulation::sleep(PHASE).await;
    }
    assert!(puts_done(&record) > wrong, "seed {seed}: it goes on serving while they are corrected");
    with(&record, |record| record.stop = true);
    for client in clients {
        client.await.unwrap_or_else(|error| panic!("seed {seed}: client: {error}"));
    }
    let auditor = auditor.await.unwrap_or_else(|error| panic!("seed {seed}: auditor: {error}"));
    recover(&cluster, &record, seed).await;
    let audit = auditor.finish().await;
    with(&record, |record| record.report.audit = audit);
    for group in GROUPS {
        check_served(&cluster, group, seed).await;
    }
    let report = check(&cluster, &record, seed);
    over.store(true, Ordering::Relaxed);
    pings.await.unwrap_or_else(|error| panic!("seed {seed}: pings: {error}"));
    cluster.shutdown().await;
    report
}

async fn ping(cluster: SimCluster, over: Arc<AtomicBool>) {
    while !over.load(Ordering::Relaxed) {
        cluster.tell_time();
        Simulation::sleep(ROUND).await;
    }
}

fn puts_done(record: &Shared) -> usize {
    with(record, |record| {
        let operations = record.history.operations.iter();
        operations.filter(|it| matches!(it.action, Action::Put(_)) && it.outcome == Outcome::Done).count()
    })
}

/// A client whose own clock was right all along signs in, and the shard lives in the present.
async fn check_served(cluster: &SimCluster, group: GroupId, seed: u64) {
    let sign_in = execute(cluster, group, user_of(group).sign_in(Simulation::wall_us())).await;
    assert!(matches!(&sign_in, Answer::Done(outcome) if outcome.code == 0), "seed {seed}: {sign_in:?}");
    for node in 0..NODES {
        let Some(handle) = cluster.group(node, group).filter(|handle| handle.is_leader()) else { continue };
        let clock = handle.read(read::clock).unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let off_ms = clock.now_ms.abs_diff(Simulation::wall_us() / 1000);
        assert!(off_ms <= FROM_TRUTH_MS_MAX, "seed {seed}: group {group} is {off_ms} ms off");
    }
}
