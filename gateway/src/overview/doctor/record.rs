//! Findings about the way in: gateways, and the PKARR records that lead clients to them.

use super::super::build::Report;
use super::super::units;
use super::command::Ctl;
use super::finding::{Finding, Severity, listed};

/// The longest interval between publications is one hour; a failed one is repeated within minutes.
const PUBLISHED_S_MAX: u64 = 70 * 60;
/// A publication takes seconds: a leader that has been there for longer should have done it.
const FIRST_PUBLISH_S_MAX: u64 = 120;
const META: &str = "meta";

/// All about gateways and the record.
pub fn findings(report: &Report, ctl: Ctl<'_>) -> Vec<Finding> {
    let of_record = record(report, ctl).into_iter().chain(foreign(report, ctl)).chain(cut_off(report, ctl));
    gateways(report).into_iter().chain(unreachable(report, ctl)).chain(of_record).collect()
}

fn gateways(report: &Report) -> Option<Finding> {
    match report.gateways.as_slice() {
        [] => Some(
            Finding::new(Severity::Critical, "no_gateway", "gateways", "no gateway is announced".to_owned())
                .because("the map names none: gateways announce themselves every few seconds while their listeners answer")
                .advise("Start a gateway, and let it announce itself: without one, clients reach nobody")
                .next("rowhouse gateway --help".to_owned()),
        ),
        [only] => Some(
            Finding::new(Severity::Notice, "one_gateway", "gateways", "one gateway serves everybody".to_owned())
                .because(format!("only {}:{} is announced", only.public_ip, only.tls_port))
                .advise("A second one on another machine stands in for it without any setting"),
        ),
        _ => None,
    }
}

fn record(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    if report.gateways.is_empty() {
        return None;
    }
    let look = |finding: Finding| {
        finding
            .advise(
                "The node that leads the meta group signs and publishes it: read its log for publishing, and check \
                 pkarr.relays and pkarr.dht_bootstrap",
            )
            .next(ctl.run("status"))
    };
    let warning = |kind, summary: String| Finding::new(Severity::Warning, kind, "record", summary);
    let Some(age_s) = report.pkarr.age_s else {
        let finding = warning("record_missing", "there is no signed record of the homeserver yet".to_owned());
        return Some(look(finding.because("gateways are announced, and the meta group has no packet")));
    };
    let signed = units::seconds(age_s);
    match report.pkarr.published_s {
        Some(published_s) if published_s <= PUBLISHED_S_MAX => None,
        Some(published_s) => {
            let ago = units::seconds(published_s);
            let finding =
                warning("record_stale", format!("the record was published {ago} ago, for the last time"));
            Some(look(
                finding.because(format!("signed {signed} ago; networks forget a record after two hours")),
            ))
        }
        None if leader_uptime_s(report) > FIRST_PUBLISH_S_MAX => {
            let finding =
                warning("record_unpublished", "no node has published the record since it started".to_owned());
            Some(look(
                finding.because(format!("signed {signed} ago; networks forget a record after two hours")),
            ))
        }
        None => None,
    }
}

fn foreign(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let summary = "another cluster publishes a record under this homeserver's key".to_owned();
    report.pkarr.foreign.then(|| {
        Finding::new(Severity::Critical, "record_foreign", "record", summary)
            .because("the network has a newer record than the last one of this cluster, which publishes none until it is gone")
            .advise("Clients are sent there: stop the cluster that should not have the key (docs/runbooks/record-stale.md)")
            .next(ctl.run("pkarr"))
    })
}

fn unreachable(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let addresses = &report.pkarr.unreachable;
    let first = addresses.first()?;
    let summary = format!(
        "no gateway answers at {} of the record's addresses, as the node sees it that publishes it",
        addresses.len()
    );
    let seen: Vec<String> = addresses.iter().map(|it| format!("{}: {}", it.address, it.problem)).collect();
    Some(
        Finding::new(Severity::Warning, "gateway_unreachable", &first.address, summary)
            .because(listed(&seen))
            .advise(
                "Check gateway.public_ip, gateway.public_tls_port and the way from outside: a load balancer, a port, or a \
                 network that does not reach its own public addresses",
            )
            .next(ctl.run("pkarr")),
    )
}

/// One node that is cut off is stood in for by the others only as the homeserver's own record goes: its users' are not.
fn cut_off(report: &Report, ctl: Ctl<'_>) -> Option<Finding> {
    let nodes = &report.pkarr.cut_off;
    let first = nodes.first()?;
    let subject = if nodes.len() == 1 { first } else { "record" };
    let summary = "neither the DHT nor a relay answers: records of users are not published again".to_owned();
    Some(
        Finding::new(Severity::Warning, "network_unreachable", subject, summary)
            .because(format!("on {}", listed(nodes)))
            .advise("Networks forget a record after two hours or more: see docs/runbooks/situations/dht-unreachable.md")
            .next(ctl.run("pkarr")),
    )
}

fn leader_uptime_s(report: &Report) -> u64 {
    let meta = report.groups.iter().find(|group| group.group == META);
    let leader = meta.and_then(|group| group.leader_uuid.as_ref());
    let leads = |node: &&super::super::node::Node| Some(&node.node_uuid) == leader;
    report.nodes.iter().find(leads).and_then(|node| node.uptime_s).unwrap_or_default()
}
