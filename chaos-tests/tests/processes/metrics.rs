//! The metrics of every component of a cluster: what each tells, what it must not tell, and that it counts exactly.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::{Connection, Response};
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie, signup_by_grant};
use rowhouse_chaos_tests::request::request;

/// Generous: the machine may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
/// The cluster file's name for a metrics listener.
const METRICS: &str = "metrics";
/// Set, a missing promtool fails the test.
const PROMTOOL_VARIABLE: &str = "ROWHOUSE_PROMTOOL";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0";
/// The reference's names. promtool dislikes some of them; they stay as they are.
const REFERENCE: [&str; 8] = [
    "events_db_query_duration_ms",
    "event_stream_db_query_duration_ms",
    "event_stream_broadcast_lagged_count_total",
    "event_stream_broadcast_half_full_count_total",
    "event_stream_active_connections",
    "event_stream_connection_duration_ms",
    "signup_count_total",
    "storage_request_count_total",
];
/// A path that occurs nowhere else.
const PATH: &str = "/pub/zebra-crossing/file";

/// One answer of a metrics listener.
struct Scrape(String);

impl Scrape {
    async fn of(address: SocketAddr, accept: &str) -> (Response, Self) {
        let mut connection = Connection::open(address, false).await.expect("it listens");
        let asked = request("GET", "/metrics", "metrics", &[("accept", accept)], b"");
        let response = connection.exchange(&asked, false).await.expect("an answer");
        let text = response.text();
        (response, Self(text))
    }

    /// Name with labels, and value.
    fn samples(&self) -> BTreeMap<&str, f64> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines
            .map(|line| {
                let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no value: {line}"));
                (series, value.parse().unwrap_or_else(|_| panic!("no number: {line}")))
            })
            .collect()
    }

    /// The sum of all series of this name that have all of these labels.
    fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |series: &str, (label, value): &(&str, &str)| {
            series.contains(&format!("{{{label}=\"{value}\""))
                || series.contains(&format!(",{label}=\"{value}\""))
        };
        let of_name = |series: &str| series.split('{').next() == Some(name);
        let all = self.samples();
        let found = all.iter().filter(|(it, _)| of_name(it) && labels.iter().all(|label| has(it, label)));
        found.map(|(_, value)| value).sum()
    }

    /// Names of families, as their TYPE lines have them.
    fn families(&self) -> Vec<&str> {
        let types = self.0.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        types.filter_map(|rest| rest.split(' ').next()).collect()
    }
}

/// Every component that is measured, by name.
fn listeners(cluster: &Cluster) -> BTreeMap<String, SocketAddr> {
    let file = cluster.file().expect("a cluster file");
    let measured = file.components.iter().filter(|it| !it.name.starts_with("testnet"));
    measured.map(|it| (it.name.clone(), it.address(METRICS).expect("a metrics listener"))).collect()
}

async fn scrape(address: SocketAddr) -> Scrape {
    Scrape::of(address, "text/plain").await.1
}

/// What promtool says against the text, the reference's own names aside; `None` without promtool.
fn complaints(text: &str) -> Option<Vec<String>> {
    let started = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        let needed = std::env::var_os(PROMTOOL_VARIABLE).is_some();
        assert!(!needed, "promtool is not installed: on Debian, `apt-get install prometheus`");
        eprintln!("promtool is not installed: what it would say about the metrics is NOT CHECKED");
        return None;
    };
    child.stdin.take().expect("piped").write_all(text.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    let ours = |line: &&str| !REFERENCE.iter().any(|name| line.starts_with(name));
    Some(said.lines().filter(ours).map(str::to_owned).collect())
}

/// Names in the first column of the page's tables.
fn documented() -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operations/metrics.md");
    let text = fs::read_to_string(page).expect("the page of all metrics");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    rows.filter_map(|row| row.split('`').next()).map(str::to_owned).collect()
}

struct World {
    cluster: Cluster,
    listeners: BTreeMap<String, SocketAddr>,
    host: String,
    connection: Connection,
}

impl World {
    async fn start(options: ClusterOptions) -> Self {
        let cluster = Cluster::start(options).await.expect("the cluster starts");
        let listeners = listeners(&cluster);
        let gateway = cluster.gateways().expect("gateways")[0];
        let connection = Connection::open(gateway, false).await.expect("the gateway listens");
        Self { cluster, listeners, host: gateway.to_string(), connection }
    }

    async fn ask(&mut self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> u16 {
        let bytes = request(method, target, &self.host, headers, body);
        self.connection.exchange(&bytes, false).await.expect("an answer").status
    }

    async fn gateway(&self) -> Scrape {
        scrape(self.listeners["gateway-1"]).await
    }
}

#[tokio::test]
async fn every_component_tells_valid_metrics_that_are_documented_and_name_nobody() {
    let mut world = World::start(ClusterOptions {
        node_flags: vec!["--metrics-per-shard".to_owned()],
        ..ClusterOptions::default()
    })
    .await;
    let user = User::random();
    let session = signup_by_cookie(&mut world.connection, &world.host, &user).await.expect("signs up");
    let target = format!("/storage/{}{PATH}", user.z32);
    let shown = [(session.header, session.value.as_str())];
    assert_eq!(world.ask("PUT", &target, &shown, b"x").await, 201);
    assert_eq!(world.ask("PUT", &format!("{target}-large"), &shown, &vec![1; 200 * 1024]).await, 201);
    assert_eq!(world.ask("GET", &target, &[], b"").await, 200);
    assert_eq!(world.ask("GET", "/events/", &[], b"").await, 200);
    let stream = format!("/events-stream?user={}&limit=5", user.z32);
    assert_eq!(world.ask("GET", &stream, &[], b"").await, 200);
    assert_eq!(world.ask("GET", "/nowhere/at/all", &[], b"").await, 400, "of nobody");
    let documented = documented();
    for (name, address) in &world.listeners {
        let (response, text) = Scrape::of(*address, "text/plain").await;
        assert_eq!(
            response.header("content-type").as_deref(),
            Some("text/plain; version=0.0.4; charset=utf-8")
        );
        for secret in [user.z32.as_str(), "zebra", &session.value, &world.host] {
            assert!(!text.0.contains(secret), "{name} tells of {secret}");
        }
        for family in text.families() {
            assert!(documented.iter().any(|known| known == family), "{name}: {family} is not documented");
        }
        assert_eq!(complaints(&text.0).unwrap_or_default(), Vec::<String>::new(), "{name}");
        let (response, open) = Scrape::of(*address, OPEN_METRICS).await;
        let of_type = response.header("content-type").expect("a type");
        assert!(of_type.starts_with("application/openmetrics-text; version=1.0.0"), "{of_type}");
        assert!(open.0.ends_with("# EOF\n"), "{name}");
        assert!(text.sum("process_open_fds", &[]) > 0.0 && text.sum("target_info", &[]) == 1.0, "{name}");
    }
    let gateway = world.gateway().await;
    for name in REFERENCE {
        assert!(gateway.families().contains(&name), "{name}");
        let of_name = |line: &&str| !line.starts_with('#') && line.starts_with(name);
        for line in gateway.0.lines().filter(of_name) {
            assert!(line.contains("otel_scope_name=\"pubky_homeserver\""), "{line}");
        }
    }
    let node = scrape(world.listeners["node-1"]).await;
    assert!(node.0.contains("rowhouse_shard_term{shard=\"meta\"}") && node.0.contains("{shard=\"15\"}"));
}

#[tokio::test]
async fn a_gateway_counts_exactly_what_was_done() {
    let mut world = World::start(ClusterOptions::default()).await;
    let homeserver = world.cluster.homeserver().expect("a key");
    let before = world.gateway().await;
    assert_eq!(before.sum("signup_count_total", &[]), 0.0, "shown before the first");
    let (one, other) = (User::random(), User::random());
    let cookie = signup_by_cookie(&mut world.connection, &world.host, &one).await.expect("signs up");
    let grant =
        signup_by_grant(&mut world.connection, &world.host, &other, &homeserver).await.expect("signs up");
    let storage = |user: &User| format!("/storage/{}{PATH}", user.z32);
    let shown = |session: &Session| (session.header, session.value.clone());
    let (cookie, grant) = (shown(&cookie), shown(&grant));
    let (cookie, grant) = ((cookie.0, cookie.1.as_str()), (grant.0, grant.1.as_str()));
    for _ in 0..3 {
        world.ask("PUT", &storage(&one), &[cookie], b"x").await;
    }
    world.ask("PUT", &storage(&other), &[grant], b"x").await;
    for _ in 0..2 {
        assert_eq!(world.ask("GET", &storage(&one), &[], b"").await, 200);
    }
    assert_eq!(world.ask("PUT", &storage(&one), &[], b"x").await, 401);
    let legacy = [("pubky-host", one.z32.as_str())];
    assert_eq!(world.ask("GET", PATH, &legacy, b"").await, 200);
    assert_eq!(world.ask("GET", &format!("{PATH}?pubky-host={}", one.z32), &legacy, b"").await, 200);
    assert_eq!(world.ask("GET", &format!("/events-stream?user={}", one.z32), &[], b"").await, 200);
    let after = world.gateway().await;
    let moved = |name: &str, labels: &[(&str, &str)]| after.sum(name, labels) - before.sum(name, labels);

    assert_eq!(moved("signup_count_total", &[]), 2.0);
    let requests = "storage_request_count_total";
    assert_eq!(moved(requests, &[]), 9.0);
    let path = ("addressing_mode", "path");
    assert_eq!(moved(requests, &[path, ("auth_method", "cookie")]), 3.0);
    assert_eq!(moved(requests, &[path, ("auth_method", "grant")]), 1.0);
    assert_eq!(moved(requests, &[path, ("auth_method", "none")]), 3.0, "two reads and a refused write");
    let matching = ("pubky_host_header", "matching");
    let legacy = ("addressing_mode", "legacy");
    assert_eq!(moved(requests, &[legacy, matching, ("pubky_host_query", "false")]), 1.0);
    assert_eq!(moved(requests, &[legacy, matching, ("pubky_host_query", "true")]), 1.0);
    assert_eq!(moved("event_stream_connection_duration_ms_count", &[]), 1.0);
    assert_eq!(after.sum("event_stream_active_connections", &[]), 0.0);

    let count = "http_server_request_duration_seconds_count";
    let route = ("http_route", "/storage/{user}/{*path}");
    let put = ("http_request_method", "PUT");
    assert_eq!(moved(count, &[route, put]), 5.0);
    assert_eq!(moved(count, &[route, put, ("http_response_status_code", "401")]), 1.0);
    assert_eq!(moved(count, &[route, ("http_request_method", "GET")]), 2.0);
    assert_eq!(moved(count, &[("http_route", "/{*path}")]), 2.0);
    assert_eq!(moved(count, &[("http_route", "/signup")]), 1.0);
    assert_eq!(moved(count, &[("listener", "admin")]), 0.0);
    assert_eq!(after.sum("http_server_active_requests", &[]), 0.0);
    let called =
        moved("rpc_client_call_duration_seconds_count", &[("rpc_method", "rowhouse.shard.v1.Shard/Execute")]);
    assert!(called >= 6.0, "{called} calls for two signups and four writes");
}

#[tokio::test]
async fn nodes_tell_of_their_groups_and_of_one_that_died() {
    let world = World::start(ClusterOptions::default()).await;
    let nodes: Vec<SocketAddr> =
        world.listeners.iter().filter(|(name, _)| name.starts_with("node")).map(|(_, at)| *at).collect();
    let scrape_all = async || {
        let mut scrapes = Vec::new();
        for node in &nodes {
            scrapes.push(scrape(*node).await);
        }
        scrapes
    };
    let sum = |scrapes: &[Scrape], name: &str, labels: &[(&str, &str)]| -> f64 {
        scrapes.iter().map(|scrape| scrape.sum(name, labels)).sum()
    };
    wait_until(PATIENCE, "a whole cluster", async || {
        let all = scrape_all().await;
        sum(&all, "rowhouse_raft_replicas", &[("role", "leader")]) == 17.0
            && sum(&all, "rowhouse_raft_replicas", &[]) == 51.0
            && sum(&all, "rowhouse_node_ready", &[]) == 3.0
            && sum(&all, "rowhouse_cluster_coordinates", &[]) == 1.0
            && sum(&all, "rowhouse_cluster_nodes", &[("state", "answering")]) == 3.0
            && sum(&all, "rowhouse_cluster_groups", &[]) == 17.0
            && sum(&all, "rowhouse_cluster_groups_under_replicated", &[]) == 0.0
            && sum(&all, "rowhouse_raft_leaderless_replicas", &[]) == 0.0
    })
    .await
    .expect("sixteen shards and the meta group, three replicas each");
    let all = scrape_all().await;
    assert!(sum(&all, "rowhouse_raft_log_syncs_total", &[]) > 0.0);
    let measured = sum(&all, "rowhouse_raft_log_sync_duration_seconds_count", &[]);
    assert!(measured > 0.0 && measured <= sum(&scrape_all().await, "rowhouse_raft_log_syncs_total", &[]));
    assert!(sum(&all, "rowhouse_raft_proposal_duration_seconds_count", &[("group", "meta")]) > 0.0);
    for scrape in &all {
        assert!(
            scrape.sum("rowhouse_disk_free_bytes", &[]) > scrape.sum("rowhouse_disk_free_min_bytes", &[])
        );
        assert!(scrape.sum("rowhouse_clock_offset_seconds", &[]).abs() < 10.0);
    }

    let elections = sum(&all, "rowhouse_raft_elections_total", &[]);
    let coordinates = |scrape: &Scrape| scrape.sum("rowhouse_cluster_coordinates", &[]) == 1.0;
    let victim = all.iter().position(|scrape| !coordinates(scrape)).expect("one coordinates, two do not");
    world.cluster.signal(&format!("node-{}", victim + 1), Signal::SIGSTOP).expect("stopped");
    let others: Vec<SocketAddr> =
        nodes.iter().enumerate().filter(|(at, _)| *at != victim).map(|(_, node)| *node).collect();
    wait_until(PATIENCE, "the loss to be told", async || {
        let mut left = Vec::new();
        for node in &others {
            left.push(scrape(*node).await);
        }
        sum(&left, "rowhouse_cluster_nodes", &[("state", "away")]) == 1.0
            && sum(&left, "rowhouse_cluster_groups_under_replicated", &[]) == 17.0
            && sum(&left, "rowhouse_raft_replicas", &[("role", "leader")]) == 17.0
            && sum(&left, "rowhouse_raft_elections_total", &[])
                > elections - all[victim].sum("rowhouse_raft_elections_total", &[])
    })
    .await
    .expect("the node that coordinates tells of it");

    let second = (0..nodes.len()).find(|at| *at != victim).expect("two are left");
    let third = (0..nodes.len()).find(|at| ![victim, second].contains(at)).expect("one is left");
    let signal =
        |at: usize, which| world.cluster.signal(&format!("node-{}", at + 1), which).expect("it runs");
    signal(second, Signal::SIGSTOP);
    wait_until(PATIENCE, "the loss of all majorities to be told", async || {
        let left = scrape(nodes[third]).await;
        left.sum("rowhouse_raft_leaderless_replicas", &[]) == 17.0
            && left.sum("rowhouse_cluster_coordinates", &[]) == 0.0
            && !left.0.contains("rowhouse_cluster_nodes{")
    })
    .await
    .expect("neither a leader that is cut off nor one that is silent counts");
    signal(second, Signal::SIGCONT);
    signal(victim, Signal::SIGCONT);
}

#[tokio::test]
async fn durations_have_exemplars_and_a_collector_that_is_away_costs_nothing() {
    // Nothing listens there.
    let away = "http://127.0.0.1:9".to_owned();
    let environment = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), away),
        ("OTEL_METRICS_EXPORTER".to_owned(), "otlp".to_owned()),
        ("OTEL_METRIC_EXPORT_INTERVAL".to_owned(), "200".to_owned()),
        ("OTEL_TRACES_SAMPLER".to_owned(), "parentbased_always_off".to_owned()),
    ];
    let mut world = World::start(ClusterOptions { environment, ..ClusterOptions::default() }).await;
    // Of all that happens one write alone is recorded.
    let user = User::random();
    let session = signup_by_cookie(&mut world.connection, &world.host, &user).await.expect("signs up");
    let trace_id = "0af7651916cd43dd8448eb211c80319c";
    let parent = format!("00-{trace_id}-b7ad6b7169203331-01");
    let headers = [(session.header, session.value.as_str()), ("traceparent", parent.as_str())];
    let target = format!("/storage/{}{PATH}", user.z32);
    assert_eq!(world.ask("PUT", &target, &headers, b"x").await, 201);
    let exemplars = async |address: SocketAddr, name: &str| -> Vec<String> {
        let (_, open) = Scrape::of(address, OPEN_METRICS).await;
        let buckets = open.0.lines().filter(|line| line.starts_with(name));
        let shown = buckets.filter_map(|line| line.split_once(" # {trace_id=\"")?.1.split('"').next());
        shown.map(str::to_owned).collect()
    };
    let requests = exemplars(world.listeners["gateway-1"], "http_server_request_duration_seconds_bucket");
    assert_eq!(requests.await, [trace_id]);
    let nodes: Vec<SocketAddr> =
        world.listeners.iter().filter(|(name, _)| name.starts_with("node")).map(|(_, at)| *at).collect();
    // The last follower may sync a moment after the answer.
    wait_until(PATIENCE, "an exemplar of a log sync on every replica", async || {
        let mut found = 0;
        for node in &nodes {
            let of_syncs = exemplars(*node, "rowhouse_raft_log_sync_duration_seconds_bucket").await;
            assert!(of_syncs.iter().all(|shown| shown == trace_id), "{of_syncs:?}");
            found += usize::from(!of_syncs.is_empty());
        }
        found == 3
    })
    .await
    .expect("the write waited for each of them");
}
