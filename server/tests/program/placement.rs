//! A cluster that grows by a node and shrinks by another, as an operator sees it.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::dev::{Dev, until};

fn rowhouse(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_rowhouse")).args(args).output().expect("the binary runs")
}

/// A `ctl` that asks this node and must succeed; its output as JSON, a value a line or one in all.
fn ctl(address: &str, args: &[&str]) -> Vec<Value> {
    let output = rowhouse(&[&["ctl"], args, &["--node", address, "--output", "json"]].concat());
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::Deserializer::from_slice(&output.stdout)
        .into_iter()
        .map(|value| value.expect("JSON"))
        .collect()
}

/// The exit code of `ctl status --check`, and its report.
fn check(address: &str) -> (Option<i32>, Value) {
    let output = rowhouse(&["ctl", "status", "--check", "--node", address, "--output", "json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap_or_default())
}

fn named<'a>(nodes: &'a Value, name: &str) -> Option<&'a Value> {
    nodes.as_array().expect("nodes").iter().find(|node| node["name"] == name)
}

fn placed(address: &str, name: &str) -> u64 {
    let nodes = ctl(address, &["node", "list"]).remove(0);
    named(&nodes, name).and_then(|node| node["placed"].as_u64()).unwrap_or_default()
}

fn add_node(folder: &Path) {
    let folder = format!("--data-dir={}", folder.display());
    let added = rowhouse(&["dev", "add-node", &folder, "--timeout-s=120"]);
    let said = String::from_utf8_lossy(&added.stdout).into_owned();
    assert!(added.status.success() && said.contains("node-4 has joined"), "{said} {added:?}");
}

/// Whoever is told to leads. From a node that leads more to one that leads less, so that the cluster leaves it so.
fn move_a_leader(address: &str) {
    let shards = ctl(address, &["shard", "list"]).remove(0);
    let shards = shards.as_array().expect("shards");
    let leads = |node: &Value| shards.iter().filter(|shard| shard["leader"] == *node).count();
    let found = shards.iter().find_map(|shard| {
        let mut replicas = shard["replicas"].as_array().expect("replicas").iter();
        let idler = replicas.find(|it| leads(&it["node"]) < leads(&shard["leader"]))?;
        Some((shard["group"].as_str().expect("a group"), idler))
    });
    let (shard, to) = found.expect("five groups have no even share of three nodes");
    let told =
        ctl(address, &["shard", "transfer-leader", shard, "--to", to["node"].as_str().expect("a name")]);
    assert_eq!(told.last().expect("a line")["leader_uuid"], to["node_uuid"]);
}

#[test]
fn a_cluster_grows_by_a_node_and_lets_another_go() {
    let dir = tempfile::tempdir().expect("a folder");
    let dev = Dev::start(dir.path(), &["--nodes=3"]);
    let seed = dev.address("node-2");
    until("all is well", || check(&seed).0 == Some(0));

    add_node(dir.path());
    assert!(dev.component("node-4")["pid"].is_u64(), "the supervisor has it");
    until("the new node has its share", || placed(&seed, "node-4") >= 2);

    let told = ctl(&seed, &["node", "drain", "node-1", "--timeout-s", "240"]);
    let last = told.last().expect("a line");
    assert_eq!((&last["done"], &last["replicas_left"]), (&true.into(), &0.into()), "{told:?}");
    until("all is well again", || check(&seed).0 == Some(0));
    let (_, report) = check(&seed);
    assert_eq!((&report["health"], &report["warnings"][0].is_string()), (&"ok".into(), &true), "{report}");
    let leaving = named(&report["nodes"], "node-1").expect("it is there yet");
    assert_eq!((&leaving["state"], &leaving["placed"]), (&"leaving".into(), &0.into()));
    for group in report["groups"].as_array().expect("groups") {
        assert_eq!((&group["complete"], &group["wanted"]), (&3.into(), &3.into()), "{group}");
    }
    move_a_leader(&seed);

    let refused = rowhouse(&["ctl", "node", "remove", "node-2", "--node", &seed]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && text.contains("drain it first"), "{text}");
    ctl(&seed, &["node", "remove", "node-1"]);
    let nodes = ctl(&seed, &["node", "list"]).remove(0);
    assert!(named(&nodes, "node-1").is_none(), "{nodes}");
    until("nothing is left to say", || {
        let (code, report) = check(&seed);
        code == Some(0) && report["warnings"].as_array().is_some_and(Vec::is_empty)
    });
}
