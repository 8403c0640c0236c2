//! `rowhouse dev add-node`: asks the running cluster for one more storage node, and waits until it has joined.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use rowhouse_peer::Dialer;

use super::args::AddNodeArgs;
use super::cluster_file::{CLUSTER_FILE, ClusterFile, Entry};
use super::control::{self, Answer, Request};
use super::{certs, ready, report};
use crate::certificates::TlsArgs;
use crate::error::Error;

/// Pause between two askings of the same question.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Returns when the node is part of the cluster. Fails if no cluster runs in the folder, or the node does not join in
/// time; it lives with the cluster, not with this command.
pub async fn add_node(args: AddNodeArgs) -> Result<(), Error> {
    let root = std::path::absolute(&args.data_dir).map_err(Error::io(&args.data_dir))?;
    let within = Duration::from_secs(args.timeout_s);
    let answer =
        control::ask(&root, Request::AddNode, within).await.map_err(|error| not_asked(&root, &error))?;
    let name = match answer {
        Answer::Added(name) => name,
        Answer::Refused(why) => return Err(Error::Failed(why)),
    };
    println!("{name} starts");
    let until = Instant::now() + within;
    loop {
        let cluster = read(&root)?;
        let entry = cluster.components.iter().find(|entry| entry.name == name);
        if let Some(entry) = entry
            && has_joined(entry, &dialer(&cluster)?).await
        {
            println!("{}", report::joined(&cluster, entry));
            return Ok(());
        }
        if Instant::now() >= until {
            let output = entry.map(|entry| entry.output.display().to_string()).unwrap_or_default();
            return Err(Error::Failed(format!(
                "{name} has not joined after {} s; `rowhouse dev` goes on trying, see {output}",
                args.timeout_s
            )));
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

fn not_asked(root: &Path, error: &std::io::Error) -> Error {
    if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) {
        return Error::Failed(format!(
            "no cluster serves in {}: start one with `rowhouse dev`, or name its --data-dir",
            root.display()
        ));
    }
    Error::Failed(format!("the cluster in {} did not answer: {error}", root.display()))
}

fn read(root: &Path) -> Result<ClusterFile, Error> {
    let path = root.join(CLUSTER_FILE);
    let bytes = std::fs::read(&path).map_err(Error::io(&path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::Failed(format!("{}: {error}", path.display())))
}

fn dialer(cluster: &ClusterFile) -> Result<Dialer, Error> {
    let secured = cluster.certs.is_some();
    let tls = if secured { certs::tls_args(&cluster.data_dir, certs::OPERATOR) } else { TlsArgs::default() };
    tls.dialer()
}

async fn has_joined(entry: &Entry, dialer: &Dialer) -> bool {
    match entry.first_address() {
        Some(address) => ready::in_map(address, dialer).await,
        None => false,
    }
}
