//! What nodes remember of the last minutes: changes of leaders, and incidents. Several nodes see the same.

use std::collections::BTreeMap;

use rowhouse_proto::wire::meta::{Incident, NodeStatusReply};
use serde::Serialize;

use super::group;
use super::view::View;

/// As many of each are shown.
const SHOWN_MAX: usize = 100;
/// Nodes notice the same within this.
const SAME_WITHIN_MS: u64 = 10_000;
/// A shard's replicas break each for itself, and so do the actors of nodes.
const OF_ITS_TELLER: [&str; 3] = ["replica_broken", "actor_restarted", "actor_parked"];

/// Another leader of a shard. Fields are only ever added.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct Election {
    /// Unix time in ms, by the clock of the node that saw it first.
    pub at_ms: u64,
    /// A shard number, or `meta`.
    pub group: String,
    pub term: u64,
    /// Names of nodes; they are the same if the leader was elected again.
    pub from: String,
    pub to: String,
}

/// What began or ended on a node. Fields are only ever added.
#[derive(Clone, Debug, Serialize, PartialEq)]
pub struct IncidentItem {
    /// Unix time in ms, by the clock of the node that tells it.
    pub at_ms: u64,
    /// The node that tells it.
    pub node: String,
    /// `started`, `node_silent`, `replica_broken`, `low_space`, `log_hangs`, `draining`, `clock_held`, `actor_restarted` or
    /// `actor_parked`; there may be more.
    pub kind: String,
    /// A node's name, a shard, or a part of the node that tells it.
    pub subject: String,
    pub text: String,
    /// It ended.
    pub over: bool,
}

/// One for each group and term: a term has one leader. The newest first.
pub fn elections(view: &View) -> Vec<Election> {
    let mut seen: BTreeMap<(u32, u64), Election> = BTreeMap::new();
    for change in replies(view).flat_map(|reply| &reply.leader_changes) {
        let known = seen.entry((change.group, change.term)).or_insert_with(|| Election {
            at_ms: change.at_ms,
            group: group::name(change.group),
            term: change.term,
            from: view.label(&change.from_node),
            to: view.label(&change.to_node),
        });
        known.at_ms = known.at_ms.min(change.at_ms);
    }
    newest(seen.into_values().collect(), |election| election.at_ms)
}

/// What several nodes tell of one subject counts once. The newest first.
pub fn incidents(view: &View) -> Vec<IncidentItem> {
    let mut told: Vec<IncidentItem> =
        replies(view).flat_map(|reply| reply.incidents.iter().map(|it| item(&reply.name, it))).collect();
    told.sort_by_key(|it| it.at_ms);
    let mut kept: Vec<IncidentItem> = Vec::new();
    for one in told {
        let is_same = |other: &IncidentItem| {
            let what = |it: &IncidentItem| (it.kind.clone(), it.subject.clone(), it.over);
            other.node != one.node && what(other) == what(&one) && one.at_ms - other.at_ms < SAME_WITHIN_MS
        };
        if OF_ITS_TELLER.contains(&one.kind.as_str()) || !kept.iter().any(is_same) {
            kept.push(one);
        }
    }
    newest(kept, |incident| incident.at_ms)
}

fn item(node: &str, it: &Incident) -> IncidentItem {
    IncidentItem {
        at_ms: it.at_ms,
        node: node.to_owned(),
        kind: it.kind.clone(),
        subject: it.subject.clone(),
        text: it.text.clone(),
        over: it.over,
    }
}

fn replies(view: &View) -> impl Iterator<Item = &NodeStatusReply> {
    view.answers.iter().filter_map(|answer| answer.as_ref().ok())
}

fn newest<T>(mut all: Vec<T>, at_ms: impl Fn(&T) -> u64) -> Vec<T> {
    all.sort_by_key(|one| std::cmp::Reverse(at_ms(one)));
    all.truncate(SHOWN_MAX);
    all
}
