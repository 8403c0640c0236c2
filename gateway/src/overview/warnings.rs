//! What an operator should know at once, a line each.

use super::group::Group;
use super::health::Health;
use super::node::{Node, State};
use super::units;

/// Names in one line; a cluster may have thousands of shards.
const NAMED_MAX: usize = 8;

/// The lines, the worst first.
pub fn warnings(nodes: &[Node], groups: &[Group], wanted: usize) -> Vec<String> {
    let mut lines = Vec::new();
    lines.extend(leaderless(groups));
    lines.extend(nodes.iter().filter_map(absent));
    lines.extend(incomplete(groups));
    lines.extend(too_few(nodes, groups, wanted));
    lines.extend(nodes.iter().filter_map(noteworthy));
    lines
}

fn leaderless(groups: &[Group]) -> Option<String> {
    let without: Vec<String> =
        groups.iter().filter(|it| it.health == Health::NoLeader).map(|it| it.group.clone()).collect();
    (!without.is_empty())
        .then(|| format!("shards without a leader ({}): {}", without.len(), listed(&without)))
}

fn incomplete(groups: &[Group]) -> Option<String> {
    let short = groups.iter().filter(|it| it.complete < it.wanted);
    let short: Vec<String> =
        short.map(|it| format!("{} ({} of {})", it.group, it.complete, it.wanted)).collect();
    (!short.is_empty())
        .then(|| format!("shards with too few complete replicas ({}): {}", short.len(), listed(&short)))
}

/// Replicas that must go somewhere, and nowhere to go.
fn too_few(nodes: &[Node], groups: &[Group], wanted: usize) -> Option<String> {
    let homeless: usize = nodes.iter().filter(|it| it.replaced_in_s == Some(0)).map(|it| it.placed).sum();
    let able = nodes.iter().filter(|it| matches!(it.state, State::Up | State::Draining)).count();
    let needed = groups.iter().map(|it| it.wanted).max().unwrap_or(wanted);
    (homeless > 0 && able < needed).then(|| {
        format!("shards want {needed} nodes and only {able} can take replicas: add a node, or bring one back")
    })
}

fn absent(node: &Node) -> Option<String> {
    let Node { label, placed, .. } = node;
    let away = || units::seconds(node.away_s.unwrap_or_default());
    Some(match (node.state, node.replaced_in_s) {
        (State::Lost, _) => format!("{label} is lost: {placed} replicas are rebuilt on other nodes"),
        (State::Away, None) if *placed == 0 => {
            format!("{label} is away for {} and holds nothing: `rowhouse ctl node remove` forgets it", away())
        }
        (State::Away, None) => format!("{label} is away for {}", away()),
        (State::Away, Some(0)) => {
            format!("{label} is away for {}: {placed} replicas are rebuilt on other nodes", away())
        }
        (State::Away, Some(left)) => format!(
            "{label} is away for {}: in {} its {placed} replicas are rebuilt on other nodes (if it never comes \
             back, `rowhouse ctl node replace` does so now)",
            away(),
            units::seconds(left)
        ),
        (State::Silent, _) => {
            format!("{label} does not answer: {}", node.problem.clone().unwrap_or_default())
        }
        _ => return None,
    })
}

fn noteworthy(node: &Node) -> Option<String> {
    let label = &node.label;
    match node.state {
        State::Leaving if node.placed == 0 => {
            Some(format!("{label} is empty: `rowhouse ctl node remove` lets it go"))
        }
        State::Draining => {
            Some(format!("{label} leads nothing until `rowhouse ctl node drain --leaders-only --off`"))
        }
        _ if node.low_space => Some(format!("{label} is low on space")),
        _ if node.expires_soon() => Some(format!("the certificate of {label} is about to expire")),
        _ => None,
    }
}

fn listed(names: &[String]) -> String {
    let shown = names[..names.len().min(NAMED_MAX)].join(", ");
    let more = names.len().saturating_sub(NAMED_MAX);
    if more > 0 { format!("{shown} and {more} more") } else { shown }
}
