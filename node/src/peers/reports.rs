//! The last report of every other node about itself, from its own ping or in answer to ours. Read without a lock.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use crate::identity::NodeUuid;

/// A node silent for longer is not counted on: three rounds of pings.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// The last report of each node; nodes are never forgotten.
#[derive(Debug, Default)]
pub struct Peers(ArcSwap<BTreeMap<NodeUuid, Report>>);

/// A node's report about itself.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// Its free space is below the mark.
    pub low_space: bool,
    /// It hands over what it leads.
    pub draining: bool,
    /// The disk of its log does not answer.
    pub log_hangs: bool,
    /// Its physical time above our steady clock, in µs; none if it did not tell.
    pub offset_us: Option<i64>,
    /// Version of the newest map it has.
    pub map_version: u64,
    /// When it was heard.
    pub at: Instant,
}

impl Peers {
    /// Whether the node, when last heard, was below its low-space mark.
    pub fn is_low(&self, node: &NodeUuid) -> bool {
        self.0.load().get(node).is_some_and(|report| report.low_space)
    }

    /// Whether the node was heard lately and does not give its leaderships away.
    pub fn may_lead(&self, node: &NodeUuid) -> bool {
        let peers = self.0.load();
        peers
            .get(node)
            .is_some_and(|report| !report.draining && !report.log_hangs && report.at.elapsed() < HEARD_WITHIN)
    }

    /// The newest version of the map that a node has that was heard lately; 0: none was.
    pub fn newest_map(&self) -> u64 {
        let peers = self.0.load();
        let heard = peers.values().filter(|report| report.at.elapsed() < HEARD_WITHIN);
        heard.map(|report| report.map_version).max().unwrap_or(0)
    }

    /// How long ago the node was heard; `None`: never.
    pub fn silence(&self, node: &NodeUuid) -> Option<Duration> {
        self.0.load().get(node).map(|report| report.at.elapsed())
    }

    /// Whether the node was not heard lately.
    pub fn is_silent(&self, node: &NodeUuid) -> bool {
        self.silence(node).is_none_or(|silence| silence >= HEARD_WITHIN)
    }

    /// Readings of physical time of `nodes`, those of silent ones too: two steady clocks drift apart by no more
    /// than their slew.
    pub fn offsets_us(&self, nodes: &BTreeSet<NodeUuid>) -> Vec<i64> {
        let peers = self.0.load();
        nodes.iter().filter_map(|node| peers.get(node)?.offset_us).collect()
    }

    /// Replaces what the node said before. A node that can write nothing counts as silent from then on: what it has is to be
    /// rebuilt elsewhere if that lasts.
    pub fn heard(&self, node: NodeUuid, report: Report) {
        self.0.rcu(|peers| {
            let before = peers.get(&node).map(|report| report.at);
            let at = if report.log_hangs { before } else { Some(report.at) };
            let mut peers = BTreeMap::clone(peers);
            if let Some(at) = at {
                peers.insert(node, Report { at, ..report });
            }
            peers
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(low_space: bool, draining: bool, offset_us: Option<i64>) -> Report {
        Report { low_space, draining, log_hangs: false, offset_us, map_version: 0, at: Instant::now() }
    }

    #[test]
    fn the_newest_map_is_that_of_a_node_heard_lately() {
        let peers = Peers::default();
        assert_eq!(peers.newest_map(), 0);
        let with = |map_version| Report { map_version, ..report(false, false, None) };
        peers.heard([1; 16], with(7));
        peers.heard([2; 16], with(5));
        assert_eq!(peers.newest_map(), 7);
        let long_ago = Instant::now().checked_sub(HEARD_WITHIN).expect("a machine up for seconds");
        peers.heard([1; 16], Report { at: long_ago, ..with(7) });
        assert_eq!(peers.newest_map(), 5);
    }

    #[test]
    fn a_node_whose_log_hangs_leads_nothing_and_grows_silent() {
        let (peers, node) = (Peers::default(), [1; 16]);
        let hanging = || Report { log_hangs: true, ..report(false, false, None) };
        peers.heard(node, hanging());
        assert!(peers.is_silent(&node), "never heard of otherwise");
        let before = Instant::now().checked_sub(HEARD_WITHIN / 2).expect("a machine up for seconds");
        peers.heard(node, Report { at: before, ..report(false, false, None) });
        peers.heard(node, hanging());
        assert!(!peers.may_lead(&node) && !peers.is_silent(&node), "for as long as others are waited for");
        assert!(peers.silence(&node).is_some_and(|silence| silence >= HEARD_WITHIN / 2));
        peers.heard(node, report(false, false, None));
        assert!(peers.may_lead(&node) && !peers.is_silent(&node), "it answers again");
    }

    #[test]
    fn the_last_word_of_a_node_counts_and_a_silent_one_leads_nothing() {
        let (peers, node) = (Peers::default(), [1; 16]);
        let named = BTreeSet::from([node]);
        assert!(!peers.may_lead(&node) && !peers.is_low(&node) && peers.is_silent(&node), "never heard");
        peers.heard(node, report(true, false, Some(3)));
        assert!(peers.may_lead(&node) && peers.is_low(&node) && !peers.is_silent(&node));
        peers.heard(node, report(false, true, None));
        assert!(!peers.may_lead(&node) && !peers.is_low(&node));
        assert!(peers.offsets_us(&named).is_empty());
        let long_ago = Instant::now().checked_sub(HEARD_WITHIN).expect("a machine up for seconds");
        peers.heard(node, Report { at: long_ago, ..report(false, false, Some(7)) });
        assert!(!peers.may_lead(&node) && peers.is_silent(&node));
        assert_eq!(peers.offsets_us(&named), [7]);
        assert!(peers.offsets_us(&BTreeSet::new()).is_empty(), "of no witness");
    }
}
