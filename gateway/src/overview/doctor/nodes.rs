//! Findings about single nodes: absence, space, certificates, clocks, draining.

use super::super::build::Report;
use super::super::node::{Node, State};
use super::super::units;
use super::command::Ctl;
use super::finding::{Finding, Severity, counted};

/// A disk this full is met before it is low.
const FULL_PERCENT: u64 = 90;
const DAY_S: u64 = 24 * 3600;
/// NTP keeps clocks within a few ms: this one does not have it.
const OFFSET_WARN_US: u64 = 100_000;
/// Nodes hold a clock that is further away near the others (docs/rules/time.md#no-clock-runs-away).
const OFFSET_HELD_US: u64 = 500_000;

/// All about nodes, in their order.
pub fn findings(report: &Report, ctl: Ctl<'_>) -> Vec<Finding> {
    let of_node = |node| {
        let found = [
            log(node, ctl),
            absent(report, node, ctl),
            space(node, ctl),
            certificate(node),
            clock(node),
            leaving(node, ctl),
        ];
        found.into_iter().flatten()
    };
    report.nodes.iter().flat_map(of_node).collect()
}

fn held(report: &Report, node: &Node) -> Vec<String> {
    let on_it = |group: &&super::super::group::Group| {
        group.replicas.iter().any(|replica| replica.node_uuid == node.node_uuid)
    };
    report.groups.iter().filter(on_it).map(|group| group.group.clone()).collect()
}

fn log(node: &Node, ctl: Ctl<'_>) -> Option<Finding> {
    let label = &node.label;
    node.log_hangs.then(|| {
        Finding::new(Severity::Critical, "log_hangs", label, format!("the disk of the log of {label} does not answer"))
            .because("a sync has not ended for two seconds or more; others lead what this node led")
            .advise(
                "Look at the disk, and restart the machine or detach the volume: a process that waits for its disk cannot be \
                 killed. If the disk never comes back, say so",
            )
            .next(ctl.run(&format!("node replace {label}")))
    })
}

fn absent(report: &Report, node: &Node, ctl: Ctl<'_>) -> Option<Finding> {
    let Node { label, placed, address, .. } = node;
    let shards = held(report, node);
    let problem = node.problem.clone().unwrap_or_else(|| "it does not answer".to_owned());
    let holds = counted(*placed, "replica");
    let finding = match node.state {
        State::Lost if *placed == 0 => Finding::new(
            Severity::Notice,
            "node_lost",
            label,
            format!("{label} is lost and holds nothing any more"),
        )
        .because(problem)
        .advise("Let it go")
        .next(ctl.run(&format!("node remove {label}"))),
        State::Lost => Finding::new(
            Severity::Warning,
            "node_lost",
            label,
            format!("{label} is lost: {holds} to rebuild"),
        )
        .because(problem)
        .advise("The others rebuild them by themselves, if there is a node that can take them")
        .next(ctl.run("top")),
        State::Away if node.log_hangs => return None,
        State::Away => {
            let away = units::seconds(node.away_s.unwrap_or_default());
            let soon = match node.replaced_in_s {
                Some(0) => "they are rebuilt on other nodes now".to_owned(),
                Some(left) => format!("they are rebuilt on other nodes in {}", units::seconds(left)),
                None => "nothing is rebuilt".to_owned(),
            };
            let summary = format!("{label} is away for {away} with {holds}: {soon}");
            let finding = Finding::new(Severity::Warning, "node_away", label, summary).because(problem);
            come_back(finding, node, ctl)
        }
        State::Silent => {
            let summary = format!("{label} at {address} does not answer; it has {holds}");
            come_back(
                Finding::new(Severity::Warning, "node_silent", label, summary).because(problem),
                node,
                ctl,
            )
        }
        _ => return None,
    };
    Some(finding.of_shards(shards))
}

fn come_back(finding: Finding, node: &Node, ctl: Ctl<'_>) -> Finding {
    let Node { label, address, placed, .. } = node;
    if *placed == 0 {
        return finding.advise("Start it again, or forget it").next(ctl.run(&format!("node remove {label}")));
    }
    finding
        .advise(format!(
            "Start rowhouse on {address} again with its data folder. Only if it never comes back, say so"
        ))
        .next(ctl.run(&format!("node replace {label}")))
}

fn space(node: &Node, ctl: Ctl<'_>) -> Option<Finding> {
    let (used, all) = (node.used_bytes?, node.disk_bytes.filter(|all| *all > 0)?);
    let percent = used.saturating_mul(100) / all;
    let label = &node.label;
    let evidence = format!(
        "{percent} % of {} are used, {} are free",
        units::bytes(all),
        units::bytes(all.saturating_sub(used))
    );
    let finding = if node.low_space {
        let summary = format!("{label} is low on space: shards refuse writes where a majority is");
        Finding::new(Severity::Critical, "low_space", label, summary)
    } else if percent >= FULL_PERCENT {
        Finding::new(Severity::Warning, "disk_filling", label, format!("the disk of {label} is nearly full"))
    } else {
        return None;
    };
    Some(
        finding
            .because(evidence)
            .advise("Free or add space there, or add a node and move replicas away from this one")
            .next(ctl.run(&format!("node drain {label}"))),
    )
}

fn certificate(node: &Node) -> Option<Finding> {
    let left = node.certificate_expires_s.filter(|_| node.expires_soon())?;
    let label = &node.label;
    let severity = if left < DAY_S { Severity::Critical } else { Severity::Warning };
    let (kind, summary) = if left == 0 {
        ("certificate_expired", format!("the certificate of {label} has expired: others refuse it"))
    } else {
        ("certificate_expiring", format!("the certificate of {label} expires in {}", units::seconds(left)))
    };
    Some(
        Finding::new(severity, kind, label, summary)
            .because(format!("its process uses a certificate with {left} s left"))
            .advise("Issue another one for the same name and put it in place of the old files: it is used within seconds")
            .next(format!("rowhouse ctl certs create --out DIR --cluster NAME --node {}", node.name)),
    )
}

fn clock(node: &Node) -> Option<Finding> {
    let offset = node.clock_offset_us?;
    let away = offset.unsigned_abs();
    let label = &node.label;
    let ms = offset as f64 / 1000.0;
    let severity = match away {
        _ if away >= OFFSET_HELD_US => Severity::Critical,
        _ if away >= OFFSET_WARN_US => Severity::Warning,
        _ => return None,
    };
    let kind = if away >= OFFSET_HELD_US { "clock_held" } else { "clock_offset" };
    Some(
        Finding::new(severity, kind, label, format!("the clock of {label} is {ms:+.0} ms from the others"))
            .because("its own reading against the middle one of all readings that it heard")
            .advise("Nodes go by the middle clock, so that users notice nothing yet. Make NTP work on that machine")
            .next("chronyc tracking".to_owned()),
    )
}

fn leaving(node: &Node, ctl: Ctl<'_>) -> Option<Finding> {
    let label = &node.label;
    match node.state {
        State::Leaving if node.placed == 0 => Some(
            Finding::new(Severity::Notice, "node_empty", label, format!("{label} is empty and may leave"))
                .because("the operator drained it, and no replica is left there")
                .next(ctl.run(&format!("node remove {label}"))),
        ),
        State::Draining => Some(
            Finding::new(Severity::Notice, "node_draining", label, format!("{label} leads nothing"))
                .because("it is stopping, or an operator asked it to hand over what it leads")
                .next(ctl.run(&format!("node drain {label} --leaders-only --off"))),
        ),
        _ => None,
    }
}
