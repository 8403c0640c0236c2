//! The report of a whole cluster.

use rowhouse_proto::wire::meta::GatewayInfo;
use rowhouse_proto::{META_GROUP, hex};
use serde::Serialize;

use super::group::{Group, group, wanted};
use super::health::Health;
use super::history::{Election, IncidentItem, elections, incidents};
use super::node::{Node, node};
use super::records::{Pkarr, pkarr};
use super::view::View;
use super::warnings::warnings;

/// The JSON that scripts get: fields are only ever added.
#[derive(Debug, Serialize, PartialEq)]
pub struct Report {
    pub cluster_id: String,
    pub map_version: u64,
    /// Unix time of the look in ms, by the clock of the machine that looked.
    pub now_ms: u64,
    /// The version of the commands that are proposed: every node understands it.
    pub command_version: u32,
    pub signup_mode: String,
    pub health: Health,
    /// For people, the worst first.
    pub warnings: Vec<String>,
    /// The operator asked for an even spread, and it is not reached.
    pub rebalancing: bool,
    /// A node away for longer is replaced; absent: no node says.
    pub dead_after_s: Option<u64>,
    pub pkarr: Pkarr,
    pub nodes: Vec<Node>,
    pub groups: Vec<Group>,
    /// Gateways that clients are sent to.
    pub gateways: Vec<GatewayAddress>,
    /// The last changes of leaders that nodes saw since they started, the newest first.
    pub elections: Vec<Election>,
    /// What lately began or ended on nodes, the newest first.
    pub incidents: Vec<IncidentItem>,
}

/// Where a gateway says that clients find it. It is taken out after a minute of silence.
#[derive(Debug, Serialize, PartialEq)]
pub struct GatewayAddress {
    pub public_ip: String,
    pub tls_port: u32,
    pub http_port: u32,
    pub icann_domain: String,
}

/// Judges what was seen.
pub fn report(view: &View) -> Report {
    let map = &view.map;
    let wanted = wanted(view);
    let mut nodes: Vec<Node> =
        map.nodes.iter().zip(&view.answers).map(|(info, answer)| node(view, info, answer)).collect();
    nodes.sort_by(|a, b| (&a.name, &a.node_uuid).cmp(&(&b.name, &b.node_uuid)));
    let mut groups: Vec<Group> = map.groups.iter().map(|info| group(view, info, wanted)).collect();
    for node in &mut nodes {
        let leads = |group: &&Group| group.leader_uuid.as_ref() == Some(&node.node_uuid);
        node.leads = groups.iter().filter(leads).count();
    }
    if map.groups.iter().all(|info| info.group == META_GROUP) && map.shard_count > 0 {
        // The shards are not placed yet: nobody is served.
        groups.iter_mut().for_each(|group| group.health = Health::NoLeader);
    }
    let all_here = nodes.iter().all(|node| node.state.is_here());
    let of_nodes = if all_here { Health::Ok } else { Health::Degraded };
    Report {
        cluster_id: hex(&map.cluster_id),
        map_version: map.map_version,
        now_ms: view.now_ms,
        command_version: map.command_version,
        signup_mode: map.settings.as_ref().map(|settings| settings.signup_mode.clone()).unwrap_or_default(),
        health: groups.iter().map(|group| group.health).max().unwrap_or(Health::NoLeader).max(of_nodes),
        warnings: warnings(&nodes, &groups, wanted),
        rebalancing: map.rebalance,
        dead_after_s: Some(view.dead_after_s()).filter(|seconds| *seconds != 0),
        pkarr: pkarr(view),
        nodes,
        groups,
        gateways: map.gateways.iter().map(gateway).collect(),
        elections: elections(view),
        incidents: incidents(view),
    }
}

fn gateway(info: &GatewayInfo) -> GatewayAddress {
    GatewayAddress {
        public_ip: info.public_ip.clone(),
        tls_port: info.tls_port,
        http_port: info.http_port,
        icann_domain: info.icann_domain.clone(),
    }
}
