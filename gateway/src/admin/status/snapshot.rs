//! What the page is told, once a second. It is the page's own format: scripts use `rowhouse ctl`.

use bytes::Bytes;
use serde::Serialize;

use crate::overview::doctor::{Diagnosis, diagnose};
use crate::overview::{Election, GatewayAddress, Group, Health, IncidentItem, Interval, Pkarr, Report};

/// Shards that the map on the page shows. More do not fit a screen, and would cost each viewer megabytes.
const SHARDS_MAX: usize = 256;

/// The whole cluster at one moment.
#[derive(Serialize)]
pub struct Snapshot<'a> {
    cluster_id: &'a str,
    map_version: u64,
    health: Option<Health>,
    diagnosis: Diagnosis,
    pkarr: Option<&'a Pkarr>,
    gateways: &'a [GatewayAddress],
    interval: Option<Interval>,
    /// The first `SHARDS_MAX`, the meta group last.
    shards: Vec<Shard<'a>>,
    /// All there are.
    shards_all: usize,
    moving: Vec<Move<'a>>,
    elections: &'a [Election],
    incidents: &'a [IncidentItem],
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
    /// Of a cluster that was looked at.
    pub fn new(report: &'a Report, interval: Interval) -> Self {
        Self {
            cluster_id: &report.cluster_id,
            map_version: report.map_version,
            health: Some(report.health),
            diagnosis: diagnose(report),
            pkarr: Some(&report.pkarr),
            gateways: &report.gateways,
            interval: Some(interval),
            shards: shown(&report.groups).map(shard).collect(),
            shards_all: report.groups.len(),
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

/// The meta group, which the map names last, is always among them.
fn shown(groups: &[Group]) -> impl Iterator<Item = &Group> {
    let (first, rest) = groups.split_at(groups.len().min(SHARDS_MAX));
    first.iter().chain(rest.last())
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
