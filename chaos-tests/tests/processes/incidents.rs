//! A part of a node that ends again and again is told by the node, while all else serves on.

use std::fs;
use std::process::Command;
use std::time::Duration;

use rowhouse_chaos_tests::cluster::{Cluster, ClusterOptions, binary, wait_until};
use serde_json::Value;

/// Generous; an actor is well again a minute after it last ended.
const PATIENCE: Duration = Duration::from_secs(240);

/// Incidents about restarted actors, the newest first, as `ctl status` prints them.
fn restarts(cluster: &Cluster) -> Vec<Value> {
    let address = cluster.component("node-2").expect("a node").first_address().expect("its address");
    let mut command = Command::new(binary().expect("the binary is built"));
    command.args(["ctl", "status", "--output", "json", "--node", &address.to_string()]);
    let output = command.output().expect("it runs");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    let incidents = report["incidents"].as_array().cloned().expect("incidents");
    incidents.into_iter().filter(|it| it["kind"] == "actor_restarted").collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_actor_is_an_incident_of_its_node_until_it_runs_for_a_while() {
    let cluster = Cluster::start(ClusterOptions::default()).await.expect("the cluster starts");
    assert_eq!(restarts(&cluster), Vec::<Value>::new());
    let output = cluster.component("node-1").expect("a node").output;
    let ballast = output.parent().expect("its folder").join("ballast");
    wait_until(PATIENCE, "the ballast", async || ballast.exists()).await.expect("held");
    // Watching the disk fails from now on: where the ballast should be is a folder.
    fs::remove_file(&ballast).expect("removed");
    fs::create_dir(&ballast).expect("made");
    wait_until(PATIENCE, "the incident", async || !restarts(&cluster).is_empty()).await.expect("told");
    let told = restarts(&cluster);
    let of = |it: &Value, field: &str| it[field].as_str().unwrap_or_default().to_owned();
    assert_eq!((of(&told[0], "node"), of(&told[0], "subject")), ("node-1".into(), "space".into()));
    assert!(of(&told[0], "text").contains("ballast") && told[0]["over"] == false, "{told:?}");
    fs::remove_dir(&ballast).expect("removed");
    wait_until(PATIENCE, "its end", async || restarts(&cluster)[0]["over"] == true).await.expect("over");
    assert_eq!(restarts(&cluster).len(), 2, "it began once and ended once, however often it was restarted");
}
