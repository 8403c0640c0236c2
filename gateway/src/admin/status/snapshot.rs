//! What the page is told, once a second. It is the page's own format: scripts use `rowhouse ctl`.

use bytes::Bytes;
use serde::Serialize;

use crate::overview::doctor::{Diagnosis, diagnose};
use crate::overview::{Election, GatewayAddress, Group, Health, IncidentItem, Interval, Pkarr, Report};

/// Shards of one part of the map, which the page shows at once. More do not fit a screen, and would cost each viewer
/// megabytes.
const PART_SHARDS: usize = 256;
/// The name of the meta group.
const META: &str = "meta";

/// The whole cluster at one moment.
#[derive(Serialize)]
pub struct Snapshot<'a> {
    cluster_id: &'a str,
    map_version: u64,
    health: Option<Health>,
    diagnosis: Diagnosis,
    pkarr: Option<&'a Pkarr>,
    gateways: &'a [GatewayAddress],
    interval: Option<&'a Interval>,
    /// Those of one part, the meta group last.
    shards: Vec<Shard<'a>>,
    /// All there are.
    shards_all: usize,
    /// The part that is shown, and all that may be asked for.
    part: usize,
    parts: Vec<Part<'a>>,
    moving: Vec<Move<'a>>,
    elections: &'a [Election],
    incidents: &'a [IncidentItem],
}

/// Some of the shards, by number.
#[derive(Serialize)]
struct Part<'a> {
    first: &'a str,
    last: &'a str,
    /// Of these, shards that are not well.
    unwell: usize,
}

/// A column of the map.
#[derive(Serialize)]
struct Shard<'a> {
    shard: &'a str,
    health: Health,
    leader: Option<&'a str>,
    term: u64,
    lag: Option<u64>,
    complete: usize,
    wanted: usize,
    replicas: Vec<Cell<'a>>,
}

/// A replica: a cell of the map.
#[derive(Serialize)]
struct Cell<'a> {
    node: &'a str,
    leads: bool,
    lacks: Option<&'a str>,
}

/// A replica on its way.
#[derive(Serialize)]
struct Move<'a> {
    shard: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
    for_s: u64,
    progress: String,
    reason: &'a str,
}

impl<'a> Snapshot<'a> {
    /// Of a cluster that was looked at, with the shards of this part.
    pub fn new(report: &'a Report, interval: &'a Interval, part: usize) -> Self {
        let (numbered, meta) = parts(&report.groups);
        let part = shown(report, part);
        let shown = numbered.get(part).copied().unwrap_or_default();
        Self {
            cluster_id: &report.cluster_id,
            map_version: report.map_version,
            health: Some(report.health),
            diagnosis: diagnose(report),
            pkarr: Some(&report.pkarr),
            gateways: &report.gateways,
            interval: Some(interval),
            shards: shown.iter().chain(meta).map(shard).collect(),
            shards_all: report.groups.len(),
            part,
            parts: numbered.iter().filter_map(|shards| described(shards)).collect(),
            moving: report.groups.iter().filter_map(moving).collect(),
            elections: &report.elections,
            incidents: &report.incidents,
        }
    }

    /// Before any node has sent a map to this gateway.
    pub fn without_a_map() -> Self {
        let problem = "no node has sent the cluster's map to this gateway yet".to_owned();
        Self {
            cluster_id: "",
            map_version: 0,
            health: None,
            diagnosis: Diagnosis::unknown(problem),
            pkarr: None,
            gateways: &[],
            interval: None,
            shards: Vec::new(),
            shards_all: 0,
            part: 0,
            parts: Vec::new(),
            moving: Vec::new(),
            elections: &[],
            incidents: &[],
        }
    }

    /// As a server-sent event. JSON has no line breaks of its own.
    pub fn event(&self) -> Bytes {
        let json = serde_json::to_string(self).unwrap_or_else(|_| "null".to_owned());
        Bytes::from(format!("event: status\ndata: {json}\n\n"))
    }
}

/// The part that is shown to whom asks for this one: the last one if there are fewer.
pub fn shown(report: &Report, part: usize) -> usize {
    part.min(parts(&report.groups).0.len().saturating_sub(1))
}

/// The shards by part, and the meta group, which is shown beside each.
fn parts(groups: &[Group]) -> (Vec<&[Group]>, Option<&Group>) {
    let shards = groups.iter().position(|group| group.group == META).unwrap_or(groups.len());
    (groups[..shards].chunks(PART_SHARDS).collect(), groups.get(shards))
}

fn described(shards: &[Group]) -> Option<Part<'_>> {
    let unwell = shards.iter().filter(|group| group.health != Health::Ok).count();
    Some(Part { first: &shards.first()?.group, last: &shards.last()?.group, unwell })
}

fn shard(group: &Group) -> Shard<'_> {
    let leads = |uuid: &str| group.leader_uuid.as_deref() == Some(uuid);
    Shard {
        shard: &group.group,
        health: group.health,
        leader: group.leader_label.as_deref(),
        term: group.term,
        lag: group.lag,
        complete: group.complete,
        wanted: group.wanted,
        replicas: group
            .replicas
            .iter()
            .map(|replica| Cell {
                node: &replica.node_uuid,
                leads: leads(&replica.node_uuid),
                lacks: replica.lacks.as_deref(),
            })
            .collect(),
    }
}

fn moving(group: &Group) -> Option<Move<'_>> {
    let moving = group.moving.as_ref()?;
    let (from, to) = &moving.labels;
    Some(Move {
        shard: &group.group,
        from: from.as_deref(),
        to: to.as_deref(),
        for_s: moving.for_s,
        progress: moving.described(),
        reason: &moving.reason,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use rowhouse_proto::META_GROUP;
    use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo};
    use serde_json::Value;

    use super::*;
    use crate::overview::{View, interval, report};

    /// What is told of a cluster with so many shards to whom asks for this part.
    fn told(shards: u32, part: usize) -> Value {
        let group = |group| GroupInfo { group, ..GroupInfo::default() };
        let groups = (0..shards).chain([META_GROUP]).map(group).collect();
        let view = View::new(ClusterMap { groups, shard_count: shards, ..ClusterMap::default() }, vec![], 0);
        let report = report(&view);
        let interval = interval(&report, &BTreeMap::new(), 0.0);
        serde_json::to_value(Snapshot::new(&report, &interval, part)).expect("JSON")
    }

    fn columns(told: &Value) -> (usize, &str, &str) {
        let all = told["shards"].as_array().expect("shards");
        let name = |at: usize| all[at]["shard"].as_str().expect("a name");
        (all.len(), name(0), name(all.len() - 2))
    }

    #[test]
    fn every_shard_is_in_one_part_and_the_meta_group_in_each() {
        let whole = told(256, 0);
        assert_eq!((columns(&whole), whole["parts"].as_array().map(Vec::len)), ((257, "0", "255"), Some(1)));
        for (part, expected) in [(0, (257, "0", "255")), (1, (257, "256", "511")), (2, (89, "512", "599"))] {
            let told = told(600, part);
            assert_eq!(columns(&told), expected);
            assert_eq!(
                told["shards"].as_array().and_then(|all| all.last()).map(|it| &it["shard"]),
                Some(&"meta".into())
            );
            assert_eq!((&told["shards_all"], &told["part"]), (&601.into(), &part.into()));
            // Nobody leads them.
            let second = serde_json::json!({ "first": "256", "last": "511", "unwell": 256 });
            assert_eq!(told["parts"][1], second);
        }
        assert_eq!(told(600, 9)["part"], 2, "the last one");
    }
}
