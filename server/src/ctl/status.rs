//! `rowhouse ctl status`: asks one node for the map, then every node of the map for its own view.

use rowhouse_peer::Dialer;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, NodeInfo, NodeStatusReply};
use serde::Serialize;
use tokio::task::JoinSet;

use super::client::NodeClient;
use super::objects::{self, Objects};
use super::table::Table;
use crate::certificates::{TlsArgs, WARN_BEFORE};
use crate::error::Error;

/// Flags of `rowhouse ctl status`.
#[derive(clap::Args, Clone, Debug)]
pub struct StatusArgs {
    /// Address of any node, host:port.
    #[arg(long)]
    pub node: String,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub tls: TlsArgs,
}

/// Form of the status: a table for people, or JSON for scripts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Table,
    Json,
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize, PartialEq)]
struct Report {
    cluster_id: String,
    map_version: u64,
    /// The version of the commands that are proposed: every node understands it.
    command_version: u32,
    signup_mode: String,
    pkarr: Pkarr,
    nodes: Vec<Node>,
    groups: Vec<Group>,
}

#[derive(Debug, Serialize, PartialEq)]
struct Pkarr {
    /// Since the record was signed.
    age_s: Option<u64>,
    /// Since any node last published it.
    published_s: Option<u64>,
}

#[derive(Debug, Serialize, PartialEq)]
struct Node {
    name: String,
    node_uuid: String,
    address: String,
    reachable: bool,
    pid: Option<u64>,
    replicas: usize,
    leads: usize,
    low_space: bool,
    draining: bool,
    /// Leaderships given away since its process started, and those that took an election instead.
    handed_over: u64,
    failovers: u64,
    /// The oldest and the newest commands it understands.
    command_version_min: u32,
    command_version_max: u32,
    /// Until its certificate expires; absent without mutual TLS.
    certificate_expires_s: Option<u64>,
    /// Absent from a node that does not answer.
    objects: Option<Objects>,
    problem: Option<String>,
}

#[derive(Debug, Serialize, PartialEq)]
struct Group {
    /// A shard number, or `meta`.
    group: String,
    epoch: u64,
    leader: Option<String>,
    term: u64,
    /// Entries the slowest follower is behind the leader's log.
    lag: Option<u64>,
    replicas: Vec<Replica>,
}

#[derive(Debug, Serialize, PartialEq)]
struct Replica {
    node: String,
    replica_id: u64,
    role: String,
    applied: u64,
    problem: Option<String>,
}

type Answer = Result<NodeStatusReply, Error>;

/// Prints the status of all nodes, found through one of them. Fails if that one does not answer.
pub async fn status(args: StatusArgs) -> Result<(), Error> {
    let dialer = args.tls.dialer()?;
    let map = NodeClient::connect(&args.node, &dialer, None).await?.map().await?;
    if map.cluster_id.is_empty() {
        let text = "belongs to no cluster yet: run `rowhouse cluster init`".to_owned();
        return Err(Error::Node { address: args.node, text });
    }
    let answers = ask_all(&map.nodes, &dialer).await;
    let report = report(&map, &answers);
    match args.output {
        Output::Table => print!("{}", text(&report)),
        Output::Json => {
            let json =
                serde_json::to_string_pretty(&report).map_err(|error| Error::Failed(error.to_string()))?;
            println!("{json}");
        }
    }
    Ok(())
}

/// All nodes at once: a dead one costs its own deadline, not everybody's.
async fn ask_all(nodes: &[NodeInfo], dialer: &Dialer) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let (node, dialer) = (node.clone(), dialer.clone());
        asked.spawn(async move {
            let answer =
                async { NodeClient::connect(&node.address, &dialer, Some(&node.name)).await?.status().await };
            (index, answer.await)
        });
    }
    let mut answers: Vec<Answer> = nodes
        .iter()
        .map(|node| Err(Error::Node { address: node.address.clone(), text: "no answer".into() }))
        .collect();
    while let Some(Ok((index, answer))) = asked.join_next().await {
        answers[index] = answer;
    }
    answers
}

fn report(map: &ClusterMap, answers: &[Answer]) -> Report {
    let alive = || answers.iter().filter_map(|answer| answer.as_ref().ok());
    let known = |seconds: u64| Some(seconds).filter(|seconds| *seconds != u64::MAX);
    let has_packet = !map.packet.is_empty();
    Report {
        cluster_id: hex::encode(&map.cluster_id),
        map_version: map.map_version,
        command_version: map.command_version,
        signup_mode: map.settings.as_ref().map(|settings| settings.signup_mode.clone()).unwrap_or_default(),
        pkarr: Pkarr {
            age_s: alive().filter_map(|node| known(node.packet_age_s)).min().filter(|_| has_packet),
            published_s: alive()
                .filter_map(|node| known(node.packet_published_s))
                .min()
                .filter(|_| has_packet),
        },
        nodes: map.nodes.iter().zip(answers).map(|(info, answer)| node(info, answer)).collect(),
        groups: map.groups.iter().map(|info| group(info, map, answers)).collect(),
    }
}

fn node(info: &NodeInfo, answer: &Answer) -> Node {
    let (reply, problem) = match answer {
        Ok(reply) => (Some(reply), None),
        Err(error) => (None, Some(error.to_string())),
    };
    let groups = reply.map(|reply| reply.groups.as_slice()).unwrap_or_default();
    Node {
        name: info.name.clone(),
        node_uuid: hex::encode(&info.node_uuid),
        address: info.address.clone(),
        reachable: reply.is_some(),
        pid: reply.map(|reply| reply.pid),
        replicas: groups.len(),
        leads: groups.iter().filter(|group| group.role == "leader").count(),
        low_space: reply.is_some_and(|reply| reply.low_space),
        draining: reply.is_some_and(|reply| reply.draining),
        handed_over: reply.map_or(0, |reply| reply.handed_over),
        failovers: reply.map_or(0, |reply| reply.failovers),
        command_version_min: info.command_version_min,
        command_version_max: info.command_version_max,
        certificate_expires_s: reply.and_then(|reply| reply.certificate_expires_s),
        objects: reply.map(Objects::of),
        problem,
    }
}

fn group(info: &GroupInfo, map: &ClusterMap, answers: &[Answer]) -> Group {
    let mut found = Group {
        group: if info.group == META_GROUP { "meta".into() } else { info.group.to_string() },
        epoch: info.epoch,
        leader: None,
        term: 0,
        lag: None,
        replicas: Vec::with_capacity(info.replicas.len()),
    };
    for wanted in &info.replicas {
        let at = map.nodes.iter().position(|node| node.node_uuid == wanted.node_uuid);
        let name =
            at.and_then(|at| map.nodes.get(at)).map_or_else(|| "?".to_owned(), |node| node.name.clone());
        let reply = at.and_then(|at| answers.get(at)).and_then(|answer| answer.as_ref().ok());
        let status = reply.and_then(|reply| reply.groups.iter().find(|group| group.group == info.group));
        let mut replica = Replica {
            node: name.clone(),
            replica_id: wanted.replica_id,
            role: "unknown".into(),
            applied: 0,
            problem: None,
        };
        if let Some(status) = status {
            replica.role.clone_from(&status.role);
            replica.applied = status.applied;
            replica.problem = Some(status.problem.clone()).filter(|problem| !problem.is_empty());
            // A deposed leader may not know it yet: the highest term decides.
            if status.role == "leader" && status.term >= found.term {
                found.leader = Some(name);
                found.lag = Some(status.lag);
            }
            found.term = found.term.max(status.term);
        }
        found.replicas.push(replica);
    }
    found
}

fn text(report: &Report) -> String {
    let ago = |seconds: Option<u64>| {
        seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s ago"))
    };
    let mut nodes = Table::new(["NODE", "ADDRESS", "PID", "REPLICAS", "LEADS", "STATE"]);
    for node in &report.nodes {
        let state = match &node.problem {
            Some(problem) => problem.clone(),
            None if node.draining => "draining".into(),
            None if node.low_space => "low on space".into(),
            None if expires_soon(node) => "certificate about to expire".into(),
            None => "up".into(),
        };
        let pid = node.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
        let counts = [node.replicas.to_string(), node.leads.to_string()];
        let [replicas, leads] = counts;
        nodes.row([node.name.clone(), node.address.clone(), pid, replicas, leads, state]);
    }
    let mut groups = Table::new(["SHARD", "LEADER", "TERM", "LAG", "REPLICAS"]);
    for group in &report.groups {
        let replicas: Vec<String> = group.replicas.iter().map(describe).collect();
        let leader = group.leader.clone().unwrap_or_else(|| "none".into());
        let lag = group.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string());
        groups.row([group.group.clone(), leader, group.term.to_string(), lag, replicas.join(" ")]);
    }
    let answered = report.nodes.iter().filter_map(|node| Some((node.name.as_str(), node.objects.as_ref()?)));
    let objects = objects::table(answered);
    format!(
        "cluster {}, map version {}, command version {}, signup {}\nPKARR record: signed {}, published {}\n\n\
         {nodes}\n{objects}\n{groups}",
        report.cluster_id,
        report.map_version,
        report.command_version,
        report.signup_mode,
        ago(report.pkarr.age_s),
        ago(report.pkarr.published_s),
    )
}

fn expires_soon(node: &Node) -> bool {
    node.certificate_expires_s.is_some_and(|seconds| seconds < WARN_BEFORE.as_secs())
}

fn describe(replica: &Replica) -> String {
    match &replica.problem {
        Some(problem) => format!("{}:{}@{} ({problem})", replica.node, replica.role, replica.applied),
        None => format!("{}:{}@{}", replica.node, replica.role, replica.applied),
    }
}

#[cfg(test)]
#[path = "status/tests.rs"]
mod tests;
