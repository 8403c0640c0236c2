//! Findings about the cluster as a whole: nodes to spare, versions, shards that are not placed.

use super::super::build::Report;
use super::super::node::{Node, State};
use super::command::Ctl;
use super::finding::{Finding, Severity, listed};

const SUBJECT: &str = "cluster";
const META: &str = "meta";
/// With fewer nodes, no loss leaves a majority of every shard.
const NODES_MIN: usize = 3;

/// All about the whole.
pub fn findings(report: &Report, ctl: Ctl<'_>) -> Vec<Finding> {
    [unplaced(report, ctl), too_few(report, ctl), versions(report, ctl)].into_iter().flatten().collect()
}

fn unplaced(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    report.groups.iter().all(|group| group.group == META).then(|| {
        let summary = "the shards are not placed on nodes yet: nobody is served".to_owned();
        Finding::new(Severity::Critical, "not_placed", SUBJECT, summary)
            .because("the map names no shard")
            .advise("This takes seconds after `rowhouse cluster init`, once the meta group has a leader")
            .next(ctl.run("status"))
    })
}

fn too_few(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let is_able = |node: &&Node| matches!(node.state, State::Up | State::Draining);
    let able = report.nodes.iter().filter(is_able).count();
    let homeless: usize =
        report.nodes.iter().filter(|node| node.replaced_in_s == Some(0)).map(|node| node.placed).sum();
    let add = |finding: Finding| finding.next(format!("rowhouse node --seed {} --help", ctl.entry()));
    let wanted = report.groups.iter().map(|group| group.wanted).max().unwrap_or(0);
    if homeless > 0 && able < wanted {
        let summary = format!("{homeless} replicas must be rebuilt, and only {able} nodes can take replicas");
        let finding = Finding::new(Severity::Warning, "nowhere_to_rebuild", SUBJECT, summary)
            .because(format!("shards want {wanted} nodes"))
            .advise("Add a node, or bring one back");
        return Some(add(finding));
    }
    (report.nodes.len() < NODES_MIN).then(|| {
        let summary = format!("a cluster of {} nodes bears no loss", report.nodes.len());
        let finding = Finding::new(Severity::Notice, "few_nodes", SUBJECT, summary)
            .because("a shard serves while a majority of its replicas does: two of three")
            .advise("Add nodes until there are three");
        add(finding)
    })
}

fn versions(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let newer =
        |node: &&Node| node.command_version_max > report.command_version && report.command_version > 0;
    let newer: Vec<&str> = report.nodes.iter().filter(newer).map(|node| node.label.as_str()).collect();
    (!newer.is_empty()).then(|| {
        let summary = "an upgrade is not finished: some nodes run an older program".to_owned();
        Finding::new(Severity::Notice, "upgrade_under_way", SUBJECT, summary)
            .because(format!(
                "command version {} is in force, and newer ones are understood by {}",
                report.command_version,
                listed(&newer)
            ))
            .advise("Upgrade the other nodes too; the newest version that all understand comes into force by itself")
            .next(ctl.run("node list"))
    })
}
