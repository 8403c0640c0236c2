//! The report for a person once the cluster serves: what runs where, and what to try next.

use std::path::Path;

use rowhouse_gateway::overview::Table;

use super::args::DATA_DIR;
use super::certs;
use super::cluster_file::{ClusterFile, Entry};
use super::plan::Kind;

/// The text that is printed once the cluster serves.
pub fn summary(cluster: &ClusterFile) -> String {
    let mut table = Table::new(["COMPONENT", "PID", "ADDRESS", "DATA FOLDER"]);
    for entry in &cluster.components {
        let pid = entry.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let addresses: Vec<String> =
            entry.addresses.iter().map(|one| format!("{} {}", one.what, one.address)).collect();
        table.row([entry.name.clone(), pid, addresses.join(", "), shown(&entry.data_dir)]);
    }
    format!(
        "\n{table}\nhomeserver   {}\nas JSON      {}\n\n{}",
        cluster.homeserver,
        shown(&cluster.data_dir.join(super::cluster_file::CLUSTER_FILE)),
        next_steps(cluster)
    )
}

/// The text of `add-node` once the node has joined.
pub fn joined(cluster: &ClusterFile, node: &Entry) -> String {
    let address = node.first_address().unwrap_or_default();
    let access = format!("--node {address}{}", tls_flags(cluster));
    let pid = node.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let name = &node.name;
    format!(
        "{name} has joined: {address}, pid {pid}, {}. It lives with `rowhouse dev`. Shards move to it now:\n\
         \n  rowhouse ctl status {access}\
         \n  rowhouse ctl node drain {name} {access}      # and away again",
        shown(&node.data_dir)
    )
}

/// What `ctl` shows where nodes demand certificates.
fn tls_flags(cluster: &ClusterFile) -> String {
    let shown =
        cluster.certs.as_ref().map(|_| certs::tls_args(&cluster.data_dir, certs::OPERATOR).to_flags());
    shown.into_iter().flatten().map(|(flag, file)| format!(" {flag} {file}")).collect()
}

fn next_steps(cluster: &ClusterFile) -> String {
    let http = cluster.ports.http;
    let first = cluster.gateway_ips.first().map_or("127.0.0.1", String::as_str);
    let gateways: Vec<String> = cluster.gateway_ips.iter().map(|ip| format!("{ip}:{http}")).collect();
    let victim = cluster.components.iter().find(|entry| entry.kind == Kind::Node).and_then(|entry| entry.pid);
    let victim = victim.map_or_else(|| "<pid>".to_owned(), |pid| pid.to_string());
    let node =
        cluster.components.iter().find(|entry| entry.kind == Kind::Node).and_then(Entry::first_address);
    let node = node.unwrap_or_default();
    let metrics = cluster.ports.metrics.first().map_or_else(String::new, |port| format!("127.0.0.1:{port}"));
    let homeserver = &cluster.homeserver;
    let tls = tls_flags(cluster);
    let folder = shown(&cluster.data_dir);
    let folder = if folder == DATA_DIR { String::new() } else { format!(" --data-dir {folder}") };
    format!(
        "Gateways serve {}. Browsers reach only the one on 127.0.0.1; the others are found through PKARR.\n\
         \n\
         Try it:\n\
         \n  curl -s http://{first}:{http}/info\n\
         \n  // cargo add pubky@0.17 tokio --features tokio/full\
         \n  use pubky::{{ClientId, prelude::*}};\
         \n  let pubky = Pubky::testnet()?;\
         \n  let signer = pubky.signer(Keypair::random());\
         \n  signer.signup(&PublicKey::try_from(\"{homeserver}\")?, None).await?;\
         \n  let session = signer.signin(ClientId::new(\"hello.app\")?).await?;\
         \n  session.storage().put(\"/pub/hello.app/hello.txt\", \"hello\").await?;\n\
         \n  kill -9 {victim}      # any pid above: no acknowledged write is lost, and it comes back\
         \n  rowhouse ctl status --node {node}{tls}\
         \n  curl -s {metrics}/metrics      # the first gateway's; the others' are in the table\
         \n  rowhouse dev add-node{folder}      # another storage node: watch the cluster grow\n\
         \nCtrl-C stops the cluster.",
        gateways.join(" and ")
    )
}

/// Short enough for a table: relative to where the person is, if it is below.
fn shown(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| path.strip_prefix(here).ok()).unwrap_or(path);
    short.display().to_string()
}
