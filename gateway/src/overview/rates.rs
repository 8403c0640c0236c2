//! How busy a cluster is: the difference of two looks at it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::build::Report;
use super::node::Node;

/// What a node did between two looks, in each second. Fields are only ever added.
#[derive(Clone, Debug, Default, Serialize, PartialEq)]
pub struct Rates {
    /// Entries committed in the groups that it leads now.
    pub commits: f64,
    /// Syncs of its log.
    pub log_syncs: f64,
    /// What half of these syncs, and 99 of 100, did not exceed; absent where there was none.
    pub log_sync_p50_us: Option<u64>,
    pub log_sync_p99_us: Option<u64>,
    /// Objects completed and chunks mended.
    pub repaired: f64,
}

/// The rates of each node by its uuid. A node that did not answer both times, or started meanwhile, is not in it.
pub fn rates(before: &Report, now: &Report, seconds: f64) -> BTreeMap<String, Rates> {
    let mut rates = BTreeMap::new();
    if seconds <= 0.0 {
        return rates;
    }
    for node in now.nodes.iter().filter(|node| node.reachable) {
        let earlier = before.nodes.iter().find(|it| it.node_uuid == node.node_uuid && it.reachable);
        if let Some(earlier) = earlier.filter(|earlier| earlier.pid == node.pid) {
            let each = |counted: u64| counted as f64 / seconds;
            let syncs = node.log_sync_durations.since(&earlier.log_sync_durations);
            rates.insert(
                node.node_uuid.clone(),
                Rates {
                    commits: each(commits(before, now, node)),
                    log_syncs: each(node.log_syncs.saturating_sub(earlier.log_syncs)),
                    log_sync_p50_us: syncs.percentile_us(50.0),
                    log_sync_p99_us: syncs.percentile_us(99.0),
                    repaired: each(repaired(node).saturating_sub(repaired(earlier))),
                },
            );
        }
    }
    rates
}

/// Entries committed meanwhile where the node leads now, whoever led before.
fn commits(before: &Report, now: &Report, node: &Node) -> u64 {
    let earlier: BTreeMap<&str, u64> = before.groups.iter().map(|it| (&*it.group, it.committed)).collect();
    let led = now.groups.iter().filter(|it| it.leader_uuid.as_deref() == Some(&node.node_uuid));
    // A group that nobody led at the first look says nothing of its pace.
    led.filter_map(|it| Some(it.committed.saturating_sub(*earlier.get(&*it.group).filter(|at| **at > 0)?)))
        .sum()
}

fn repaired(node: &Node) -> u64 {
    node.objects.as_ref().map_or(0, |objects| objects.filled + objects.repaired)
}
