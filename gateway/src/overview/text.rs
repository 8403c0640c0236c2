//! The report as tables.

use super::build::Report;
use super::group::{Group, Replica};
use super::node::Node;
use super::objects;
use super::table::Table;
use super::units;

/// Everything.
pub fn text(report: &Report) -> String {
    let ago = |seconds: Option<u64>| {
        seconds.map_or_else(|| "never".to_owned(), |seconds| format!("{seconds} s ago"))
    };
    let warnings: String = report.warnings.iter().map(|line| format!("! {line}\n")).collect();
    let answered = report.nodes.iter().filter_map(|node| Some((node.label.as_str(), node.objects.as_ref()?)));
    let moving = moving_table(&report.groups).map(|table| format!("\n{table}")).unwrap_or_default();
    format!(
        "cluster {}, map version {}, command version {}, signup {}\nPKARR record: signed {}, published {}\n\
         health: {}{}\n{warnings}\n{}\n{}\n{}{moving}",
        report.cluster_id,
        report.map_version,
        report.command_version,
        report.signup_mode,
        ago(report.pkarr.age_s),
        ago(report.pkarr.published_s),
        report.health.as_str(),
        if report.rebalancing { ", replicas are being spread evenly" } else { "" },
        node_table(&report.nodes),
        objects::table(answered),
        group_table(&report.groups),
    )
}

/// A row for each identity.
pub fn node_table(nodes: &[Node]) -> Table {
    let mut table =
        Table::new(["NODE", "ID", "ADDRESS", "ZONE", "PID", "REPLICAS", "LEADS", "DISK", "STATE"]);
    for node in nodes {
        let dash = || "-".to_owned();
        table.row([
            node.name.clone(),
            node.short_id.clone(),
            node.address.clone(),
            if node.zone.is_empty() { dash() } else { node.zone.clone() },
            node.pid.map_or_else(dash, |pid| pid.to_string()),
            node.placed.to_string(),
            node.leads.to_string(),
            disk(node).unwrap_or_else(dash),
            node.described(),
        ]);
    }
    table
}

fn disk(node: &Node) -> Option<String> {
    let (used, all) = (node.used_bytes?, node.disk_bytes.filter(|all| *all > 0)?);
    Some(format!("{} % of {}", used.saturating_mul(100) / all, units::bytes(all)))
}

/// A row for each group.
pub fn group_table(groups: &[Group]) -> Table {
    let mut table = Table::new(["SHARD", "LEADER", "TERM", "LAG", "COPIES", "REPLICAS"]);
    for group in groups {
        let replicas: Vec<String> = group.replicas.iter().map(describe).collect();
        table.row([
            group.group.clone(),
            group.leader_label.clone().unwrap_or_else(|| "none".into()),
            group.term.to_string(),
            group.lag.map_or_else(|| "-".to_owned(), |lag| lag.to_string()),
            format!("{}/{}", group.complete, group.wanted),
            replicas.join(" "),
        ]);
    }
    table
}

/// A row for each replica on its way; `None` if none is.
pub fn moving_table(groups: &[Group]) -> Option<Table> {
    let mut table = Table::new(["MOVING", "FROM", "TO", "SINCE", "PROGRESS", "REASON"]);
    let mut any = false;
    for group in groups {
        let Some(moving) = &group.moving else { continue };
        let (from, to) = moving.labels.clone();
        any = true;
        table.row([
            group.group.clone(),
            from.unwrap_or_else(|| "-".to_owned()),
            to.unwrap_or_else(|| "-".to_owned()),
            units::seconds(moving.for_s),
            moving.described(),
            moving.reason.clone(),
        ]);
    }
    any.then_some(table)
}

fn describe(replica: &Replica) -> String {
    let Replica { label, role, applied, .. } = replica;
    match &replica.lacks {
        Some(lacks) => format!("{label}:{role}@{applied} ({lacks})"),
        None => format!("{label}:{role}@{applied}"),
    }
}
