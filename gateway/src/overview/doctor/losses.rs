//! What dies if this dies: for each node, each zone and the gateways, the shards that would lose their quorum, their
//! last spare replica or their only complete copy.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::super::build::Report;
use super::super::group::{Group, Replica};
use super::super::node::State;

/// A kind of thing that fails as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Node,
    Zone,
    Gateway,
}

/// The JSON that scripts get: fields are only ever added.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct IfLost {
    pub what: What,
    pub name: String,
    /// Shards that it leads: each elects another leader, which takes about a second.
    pub leads: usize,
    /// Shards, and `meta`, that nobody could lead any more: their users would not be served.
    pub quorum_lost: Vec<String>,
    /// Shards that would go on, with no further loss to spare.
    pub last_spare_lost: Vec<String>,
    /// Shards of which no complete replica would be left.
    pub only_copy_lost: Vec<String>,
    /// One sentence.
    pub summary: String,
}

/// The voters of a group, and who of them takes part.
pub struct Quorum<'a> {
    alive: Vec<&'a Replica>,
    majority: usize,
}

impl<'a> Quorum<'a> {
    /// By the replicas that the leader counts.
    pub fn of(group: &'a Group) -> Self {
        let voters: Vec<&Replica> = group.replicas.iter().filter(|replica| replica.votes).collect();
        let majority = voters.len() / 2 + 1;
        Self { alive: voters.into_iter().filter(|replica| replica.alive).collect(), majority }
    }

    /// Whether enough take part to elect and to commit.
    pub fn is_there(&self) -> bool {
        self.alive.len() >= self.majority
    }

    /// Voters that could go and leave a majority; 0 also where there is none.
    pub fn spares(&self) -> usize {
        self.alive.len().saturating_sub(self.majority)
    }

    /// Labels of the voters that take part.
    pub fn alive(&self) -> Vec<String> {
        self.alive.iter().map(|replica| replica.label.clone()).collect()
    }

    /// How many must take part.
    pub fn majority(&self) -> usize {
        self.majority
    }

    fn without(&self, gone: &BTreeSet<&str>) -> Self {
        let stays = |replica: &&&Replica| !gone.contains(&*replica.node_uuid);
        Self { alive: self.alive.iter().filter(stays).copied().collect(), majority: self.majority }
    }
}

/// One for each node that answers and holds something, for each zone of several nodes, and for an only gateway.
pub fn losses(report: &Report) -> Vec<IfLost> {
    let mut losses = Vec::new();
    let mut zones: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in report.nodes.iter().filter(|node| node.reachable && node.state != State::Lost) {
        if node.placed > 0 {
            losses.push(loss(report, What::Node, &node.label, &BTreeSet::from([&*node.node_uuid])));
        }
        if !node.zone.is_empty() {
            zones.entry(&node.zone).or_default().insert(&node.node_uuid);
        }
    }
    for (zone, nodes) in zones.iter().filter(|(_, nodes)| nodes.len() > 1) {
        losses.push(loss(report, What::Zone, zone, nodes));
    }
    losses.extend(gateway(report));
    losses
}

fn loss(report: &Report, what: What, name: &str, gone: &BTreeSet<&str>) -> IfLost {
    let on_it = |group: &&Group| group.replicas.iter().any(|replica| gone.contains(&*replica.node_uuid));
    let (mut quorum_lost, mut last_spare_lost, mut only_copy_lost) = (Vec::new(), Vec::new(), Vec::new());
    for group in report.groups.iter().filter(on_it) {
        let now = Quorum::of(group);
        let then = now.without(gone);
        if now.is_there() && !then.is_there() {
            quorum_lost.push(group.group.clone());
        } else if now.spares() > 0 && then.spares() == 0 {
            last_spare_lost.push(group.group.clone());
        }
        let complete = |replica: &&Replica| replica.lacks.is_none();
        let left = |replica: &Replica| !gone.contains(&*replica.node_uuid);
        let copies: Vec<&Replica> = group.replicas.iter().filter(complete).collect();
        if !copies.is_empty() && !copies.into_iter().any(left) {
            only_copy_lost.push(group.group.clone());
        }
    }
    let led = |group: &&Group| group.leader_uuid.as_deref().is_some_and(|leader| gone.contains(leader));
    let leads = report.groups.iter().filter(led).count();
    let summary = summary(quorum_lost.len(), last_spare_lost.len(), only_copy_lost.len(), leads);
    IfLost { what, name: name.to_owned(), leads, quorum_lost, last_spare_lost, only_copy_lost, summary }
}

fn summary(quorum: usize, spare: usize, copy: usize, leads: usize) -> String {
    let mut parts = Vec::new();
    if quorum > 0 {
        parts.push(format!("{quorum} shards lose their quorum and stop"));
    }
    if copy > 0 {
        parts.push(format!("{copy} lose their only complete copy"));
    }
    if spare > 0 {
        parts.push(format!("{spare} go on with no loss to spare"));
    }
    if leads > 0 {
        parts.push(format!("{leads} elect another leader"));
    }
    if parts.is_empty() { "nobody notices".to_owned() } else { parts.join(", ") }
}

/// Several gateways stand in for each other.
fn gateway(report: &Report) -> Option<IfLost> {
    let [only] = report.gateways.as_slice() else { return None };
    Some(IfLost {
        what: What::Gateway,
        name: format!("{}:{}", only.public_ip, only.tls_port),
        leads: 0,
        quorum_lost: Vec::new(),
        last_spare_lost: Vec::new(),
        only_copy_lost: Vec::new(),
        summary: "no other gateway is announced: clients reach nobody".to_owned(),
    })
}
