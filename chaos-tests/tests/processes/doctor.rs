//! `rowhouse ctl doctor`, `ctl top` and the status page against a real cluster with mutual TLS: a node dies, is named
//! with its shards, and comes back.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, Kind, binary, wait_until};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{User, signup_by_cookie};
use rowhouse_peer::CertificateFiles;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Long enough to be seen by all, short of what makes a node be replaced.
const DEAD_FOR: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(120);
/// 16 shards and the meta group, each with a replica on every node.
const GROUPS: usize = 17;
/// `admin:admin`, the password of a cluster in development.
const BASIC: &str = "YWRtaW46YWRtaW4=";

/// Runs `rowhouse ctl` with these words as an operator who knows the node `entry`.
fn ctl(cluster: &Cluster, entry: &str, words: &[&str]) -> Output {
    let file = cluster.file().expect("the cluster tells what runs");
    let certs = CertificateFiles::in_folder(&file.certs.expect("mutual TLS"), "operator");
    let address = cluster.component(entry).expect("a node").first_address().expect("its address");
    let mut command = Command::new(binary().expect("the binary is built"));
    command.arg("ctl").args(words).args(["--node", &address.to_string(), "--output", "json"]);
    command.arg("--tls-cert").arg(certs.cert).arg("--tls-key").arg(certs.key).arg("--tls-ca").arg(certs.ca);
    command.output().expect("it runs")
}

/// The exit code of `ctl doctor`, and what it printed.
fn doctor(cluster: &Cluster, entry: &str) -> (Option<i32>, Value) {
    let output = ctl(cluster, entry, &["doctor"]);
    let printed = serde_json::from_slice(&output.stdout);
    let printed = printed.unwrap_or_else(|error| panic!("{error}: {output:?}"));
    (output.status.code(), printed)
}

/// Kinds of findings that need action. The disk of the machine that runs the test is none of the cluster's.
fn kinds(diagnosis: &Value) -> BTreeSet<String> {
    let findings = diagnosis["findings"].as_array().expect("findings");
    let acted = findings.iter().filter(|it| it["severity"] != "notice" && it["kind"] != "disk_filling");
    acted.map(|it| it["kind"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The first snapshot of the status page that has this verdict.
async fn snapshot(admin: SocketAddr, verdict: &str) -> Value {
    let reading = async {
        let mut stream = TcpStream::connect(admin).await.expect("the admin listener");
        let request =
            format!("GET /status/events HTTP/1.1\r\nhost: {admin}\r\nauthorization: Basic {BASIC}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("it listens");
        let mut came = Vec::new();
        loop {
            assert!(stream.read_buf(&mut came).await.expect("open") > 0, "the stream ended");
            let text = String::from_utf8_lossy(&came);
            let told =
                text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok());
            if let Some(found) = told.into_iter().find(|it: &Value| it["diagnosis"]["verdict"] == verdict) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("the page never says {verdict}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_node_is_named_with_its_shards_until_it_is_back() {
    let options = ClusterOptions { mtls: true, restart_delay: DEAD_FOR, ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.expect("the cluster starts");
    let gateway = cluster.file().expect("a file").of_kind(Kind::Gateway).next().cloned().expect("a gateway");
    let admin = gateway.address("admin").expect("its admin listener");
    well_again(&cluster).await;
    let (code, diagnosis) = doctor(&cluster, "node-1");
    let spare = &diagnosis["if_lost"][0]["last_spare_lost"];
    assert_eq!(spare.as_array().map(Vec::len), Some(GROUPS), "code {code:?}: {diagnosis}");

    let killed = cluster.kill("node-2").expect("it runs");
    wait_until(PATIENCE, "the others to elect", async || {
        let (_, diagnosis) = doctor(&cluster, "node-1");
        let kinds = kinds(&diagnosis);
        kinds.contains("too_few_replicas") && !kinds.contains("no_leader")
    })
    .await
    .expect("a majority is there");
    let (code, diagnosis) = doctor(&cluster, "node-1");
    assert_eq!((code, &diagnosis["verdict"]), (Some(1), &"act".into()), "{diagnosis}");
    let findings = diagnosis["findings"].as_array().expect("findings");
    let named = findings.iter().find(|it| it["subject"] == "node-2").expect("the dead node");
    assert!(matches!(named["kind"].as_str(), Some("node_silent" | "node_away")), "{named}");
    assert_eq!(named["shards"].as_array().map(Vec::len), Some(GROUPS));
    assert!(named["next"].as_str().is_some_and(|next| next.contains("node replace node-2")), "{named}");
    let stop = diagnosis["if_lost"][0]["quorum_lost"].as_array().map(Vec::len);
    assert_eq!(stop, Some(GROUPS), "what dies if another one dies");
    let page = snapshot(admin, "act").await;
    let states: Vec<&Value> = page["interval"]["nodes"].as_array().expect("nodes").iter().collect();
    assert!(states.iter().any(|node| node["name"] == "node-2" && node["state"] != "up"), "{states:?}");

    cluster.wait_ready_again("node-2", killed).await.expect("it comes back");
    well_again(&cluster).await;
    let page = snapshot(admin, "well").await;
    let elections = page["elections"].as_array().expect("elections");
    assert!(elections.iter().any(|it| it["from"] == "node-2"), "it led some shards: {elections:?}");

    let top = ctl(&cluster, "node-1", &["top", "--once", "--interval", "0.5"]);
    let top: Value = serde_json::from_slice(&top.stdout).expect("one object");
    let rows = top["nodes"].as_array().expect("nodes");
    assert!(rows.len() == 3 && rows.iter().all(|row| row["commits_per_s"].is_number()), "{top}");
    let leaders: u64 = rows.iter().filter_map(|row| row["leaders"].as_u64()).sum();
    assert_eq!(leaders, GROUPS as u64, "{top}");
    durations_of_syncs_are_told(&cluster).await;
}

/// Signups go through the log while `ctl top` looks.
async fn durations_of_syncs_are_told(cluster: &Cluster) {
    let gateway = cluster.gateways().expect("gateways")[0];
    let mut connection = Connection::open(gateway, false).await.expect("it listens");
    let mut writing = JoinSet::new();
    writing.spawn(async move {
        let host = gateway.to_string();
        while signup_by_cookie(&mut connection, &host, &User::random()).await.is_ok() {}
    });
    let of = |row: &Value, field: &str| row[field].as_u64();
    wait_until(PATIENCE, "durations on every node", async || {
        let top = ctl(cluster, "node-1", &["top", "--once"]);
        let top: Value = serde_json::from_slice(&top.stdout).expect("one object");
        let rows = top["nodes"].as_array().expect("nodes");
        rows.iter().all(|row| {
            let (half, most) = (of(row, "log_sync_p50_us"), of(row, "log_sync_p99_us"));
            half.is_some_and(|half| half > 0) && half <= most
        })
    })
    .await
    .expect("every node has a replica of every shard");
}

/// Waits until nothing needs action, and the exit code says so.
async fn well_again(cluster: &Cluster) {
    let mut last = Value::Null;
    let waited = wait_until(PATIENCE, "the cluster to be well", async || {
        let (code, diagnosis) = doctor(cluster, "node-1");
        let is_well = kinds(&diagnosis).is_empty() && (code == Some(0)) == (diagnosis["verdict"] == "well");
        last = diagnosis;
        is_well
    })
    .await;
    assert!(waited.is_ok(), "{last}");
}

#[test]
fn where_nobody_answers_it_cannot_tell() {
    let output = Command::new(binary().expect("the binary is built"))
        .args(["ctl", "doctor", "--node", "127.0.0.1:1", "--output", "json"])
        .output()
        .expect("it runs");
    let printed: Value = serde_json::from_slice(&output.stdout).expect("json");
    assert_eq!((output.status.code(), &printed["verdict"]), (Some(2), &"unknown".into()));
    assert!(printed["problem"].as_str().is_some_and(|problem| problem.contains("127.0.0.1:1")), "{printed}");
}
