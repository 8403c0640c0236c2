//! A real Prometheus scrapes a real cluster under load: every expression of the dashboards finds something, and every
//! rule of the alerts can be evaluated. Without Prometheus at hand this says so and tests nothing.

use std::collections::BTreeMap;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, wait_until};
use rowhouse_chaos_tests::http1::Connection;
use rowhouse_chaos_tests::identity::{Session, User, signup_by_cookie};
use rowhouse_chaos_tests::request::request;
use serde_json::Value;

/// Generous: the machine may be compiling meanwhile.
const PATIENCE: Duration = Duration::from_secs(120);
const JOB: &str = "rowhouse";
/// Grafana puts a span of a few scrapes here.
const RATE_INTERVAL: &str = "15s";
/// Above an inline body.
const LARGE: usize = 200 * 1024;

struct Prometheus {
    process: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Prometheus {
    /// `None`: it is not installed.
    async fn start(targets: &[SocketAddr]) -> Option<Self> {
        if Command::new("prometheus")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_err()
        {
            eprintln!("prometheus is not installed: dashboards and rules are NOT TESTED against a cluster");
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let listed: Vec<String> = targets.iter().map(|target| format!("'{target}'")).collect();
        let rules = root().join("observability/alerts");
        let settings = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: ['{}/*.yml']\nscrape_configs:\n\
             - job_name: {JOB}\n  static_configs: [{{targets: [{}]}}]\n",
            rules.display(),
            listed.join(", ")
        );
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, settings).expect("written");
        let free = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("bound");
        drop(free);
        let process = Command::new("prometheus")
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--enable-feature=exemplar-storage")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        let prometheus = Self { process, address, _folder: folder };
        wait_until(PATIENCE, "Prometheus", async || prometheus.ask("/-/ready").await.is_some())
            .await
            .expect("ready");
        Some(prometheus)
    }

    /// The body of a good answer.
    async fn ask(&self, target: &str) -> Option<Vec<u8>> {
        let mut connection = Connection::open(self.address, false).await.ok()?;
        let asked = request("GET", target, "prometheus", &[("connection", "close")], b"");
        let answer = connection.exchange(&asked, false).await.ok()?;
        (answer.status == 200).then_some(answer.body)
    }

    async fn json(&self, target: &str) -> Value {
        let body = self.ask(target).await.unwrap_or_else(|| panic!("refused: {target}"));
        serde_json::from_slice(&body).expect("JSON")
    }

    /// How many of the series that an expression finds have a number.
    async fn found(&self, expression: &str) -> usize {
        let encode = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
        };
        let query: String = expression.bytes().map(encode).collect();
        let answer = self.json(&format!("/api/v1/query?query={query}")).await;
        let result = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        result.iter().filter(|series| series["value"][1] != "NaN").count()
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

/// Each expression of each dashboard, with a name for messages; variables have become values.
fn expressions() -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(root().join("observability/dashboards")).expect("dashboards") {
        let file = entry.expect("readable").path();
        let board: Value = serde_json::from_slice(&fs::read(&file).expect("readable")).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                let name = format!("{} / {} / {}", board["title"], panel["title"], target["refId"]);
                let expression = target["expr"].as_str().expect("an expression");
                let expression = expression
                    .replace("$__rate_interval", RATE_INTERVAL)
                    .replace("$job", JOB)
                    .replace("$instance", ".+")
                    .replace("$shard", ".+");
                assert!(!expression.contains('$'), "{name}: {expression}");
                all.insert(name, expression);
            }
        }
    }
    assert!(all.len() > 50, "found few expressions");
    all
}

/// Asks for something of everything, once.
async fn load(connection: &mut Connection, host: &str, user: &User, session: &Session, number: usize) {
    let shown = [(session.header, session.value.as_str())];
    let target = format!("/storage/{}/pub/load/{number}", user.z32);
    let stream = format!("/events-stream?user={}&limit=5", user.z32);
    let large = vec![7; LARGE];
    for (method, target, body) in [
        ("PUT", target.clone(), &b"small"[..]),
        ("GET", target.clone(), b""),
        ("PUT", format!("{target}-large"), &large),
        ("GET", format!("{target}-large"), b""),
        ("GET", "/events/".to_owned(), b""),
        ("GET", stream, b""),
    ] {
        let bytes = request(method, &target, host, &shown, body);
        let answer = connection.exchange(&bytes, false).await.expect("an answer");
        assert!(answer.status < 300, "{method} {target}: {}", answer.status);
    }
}

#[tokio::test]
async fn every_expression_finds_something_in_a_cluster_under_load() {
    let options =
        ClusterOptions { node_flags: vec!["--metrics-per-shard".to_owned()], ..ClusterOptions::default() };
    let cluster = Cluster::start(options).await.expect("the cluster starts");
    let file = cluster.file().expect("a cluster file");
    let measured = file.components.iter().filter(|component| !component.name.starts_with("testnet"));
    let targets: Vec<SocketAddr> =
        measured.map(|component| component.address("metrics").expect("a metrics listener")).collect();
    let Some(prometheus) = Prometheus::start(&targets).await else { return };
    let gateway = cluster.gateways().expect("gateways")[0];
    let mut connection = Connection::open(gateway, false).await.expect("the gateway listens");
    let host = gateway.to_string();
    let user = User::random();
    let session = signup_by_cookie(&mut connection, &host, &user).await.expect("signs up");
    let (mut number, mut empty) = (0, expressions());
    let found = wait_until(PATIENCE, "every expression to find something", async || {
        load(&mut connection, &host, &user, &session, number).await;
        number += 1;
        for (name, expression) in empty.clone() {
            if prometheus.found(&expression).await > 0 {
                empty.remove(&name);
            }
        }
        empty.is_empty()
    })
    .await;
    assert!(found.is_ok(), "these find nothing: {empty:#?}");

    let rules = prometheus.json("/api/v1/rules").await;
    let groups = rules["data"]["groups"].as_array().expect("groups");
    let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    assert!(rules.len() > 20, "few rules");
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert_ne!(rule["state"], "firing", "nothing is wrong: {rule}");
    }
}
