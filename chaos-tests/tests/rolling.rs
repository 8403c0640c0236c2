//! A rolling restart under load: every node and gateway is stopped by SIGTERM once, in random order, while
//! unmodified SDK clients write, read and list. Nobody may notice.
//!
//! `make rolling` runs it with `ROWHOUSE_ROLLING_P99=1`, which also judges the latency of writes; as a part
//! of `make test` it judges failures only, because a busy machine says nothing about latency.

use std::time::{Duration, Instant};

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, Kind, Place, wait_until};

#[path = "rolling/load.rs"]
mod load;
#[path = "sdk/client.rs"]
mod sdk;

use load::{Load, Sample};

/// SDK instances, each with connections and a session of its own.
const CLIENTS: usize = 16;
/// Load before the first restart: what latencies are compared with.
const QUIET: Duration = Duration::from_secs(10);
/// Load between restarts.
const BETWEEN: Duration = Duration::from_secs(2);
/// How much longer than in quiet times a write may take, at the 99th percentile.
const P99_EXTRA_MAX: Duration = Duration::from_millis(250);
const P99_VARIABLE: &str = "ROWHOUSE_ROLLING_P99";
/// Names a file: whoever rolls a given homeserver makes it when the load shall end.
const UNTIL_VARIABLE: &str = "ROWHOUSE_LOAD_UNTIL";
/// A rolling update of a few pods, on a busy machine.
const UNTIL_TIMEOUT: Duration = Duration::from_secs(1_800);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_fails_no_request() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    let load = Load::start(&cluster, CLIENTS).await;
    tokio::time::sleep(QUIET).await;
    let quiet_ends = Instant::now();
    for name in in_random_order(&cluster) {
        let started = Instant::now();
        let old = cluster.terminate(&name).expect("it runs");
        cluster.wait_ready_again(&name, old).await.expect("it comes back");
        println!("{name} restarted in {:.1} s", started.elapsed().as_secs_f64());
        tokio::time::sleep(BETWEEN).await;
    }
    let samples = load.stop().await;
    let (quiet, rolling): (Vec<_>, Vec<_>) = samples.into_iter().partition(|sample| sample.at < quiet_ends);
    let quiet_p99 = report("quiet  ", &quiet);
    let rolling_p99 = report("rolling", &rolling);
    let failures: Vec<&String> = quiet.iter().chain(&rolling).filter_map(|it| it.failure.as_ref()).collect();
    assert!(failures.is_empty(), "{} of {} requests failed: {failures:#?}", failures.len(), rolling.len());
    assert!(rolling.len() > 100, "hardly anything was asked: {}", rolling.len());
    if std::env::var_os(P99_VARIABLE).is_some() {
        assert!(
            rolling_p99 <= quiet_p99 + P99_EXTRA_MAX,
            "writes took {rolling_p99:?} at the 99th percentile, {quiet_p99:?} when quiet"
        );
    }
}

/// The load alone, on a homeserver that somebody else restarts (`make pods-test`).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_given_homeserver_fails_no_request() {
    let Some(place) = Place::given().expect("well formed") else { return };
    let until = std::env::var(UNTIL_VARIABLE).expect("a file is named");
    let load = Load::start(&place, CLIENTS).await;
    println!("{CLIENTS} clients write and read");
    wait_until(UNTIL_TIMEOUT, "the end of the load", async || {
        std::fs::exists(&until).is_ok_and(|there| there)
    })
    .await
    .expect("it is told to end");
    let samples = load.stop().await;
    report("load", &samples);
    let failures: Vec<&String> = samples.iter().filter_map(|sample| sample.failure.as_ref()).collect();
    assert!(failures.is_empty(), "{} of {} requests failed: {failures:#?}", failures.len(), samples.len());
    assert!(samples.len() > 100, "hardly anything was asked: {}", samples.len());
}

/// Nodes and gateways: what serves.
fn in_random_order(cluster: &Cluster) -> Vec<String> {
    let file = cluster.file().expect("the cluster tells what runs");
    let mut names: Vec<(u64, String)> = [Kind::Node, Kind::Gateway]
        .into_iter()
        .flat_map(|kind| file.of_kind(kind).map(|component| component.name.clone()).collect::<Vec<_>>())
        .map(|name| (rand::random(), name))
        .collect();
    assert_eq!(names.len(), 5);
    names.sort();
    names.into_iter().map(|(_, name)| name).collect()
}

/// Prints the phase's figures; answers the p99 of its writes.
fn report(phase: &str, samples: &[Sample]) -> Duration {
    let mut writes: Vec<Duration> =
        samples.iter().filter(|sample| sample.what == "put").map(|sample| sample.took).collect();
    writes.sort();
    let at = |share: f64| writes.get(((writes.len() as f64 * share) as usize).min(writes.len().max(1) - 1));
    let [p50, p99, max] = [0.5, 0.99, 1.0].map(|share| at(share).copied().unwrap_or_default());
    let slowest = samples.iter().map(|sample| sample.took).max().unwrap_or_default();
    let failed = samples.iter().filter(|sample| sample.failure.is_some()).count();
    println!(
        "{phase}: {} requests, {failed} failed; {} writes: p50 {p50:.1?}, p99 {p99:.1?}, max {max:.1?}; slowest of all {slowest:.1?}",
        samples.len(),
        writes.len()
    );
    p99
}
