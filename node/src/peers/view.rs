//! The cluster map as this node knows it now. One writer (the map watch), many readers.

use std::sync::Arc;

use rowhouse_proto::VersionRange;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use tokio::sync::watch;

use crate::Error;

/// Cheap to clone: clones share one map.
#[derive(Clone, Debug)]
pub struct ClusterView {
    map: Arc<watch::Sender<Arc<ClusterMap>>>,
    /// The command versions this program understands, and the one last heard to be in force.
    understood: VersionRange,
    heard: Option<u32>,
}

impl ClusterView {
    /// Starts with an empty map: not initialized.
    pub fn new(understood: VersionRange, heard: Option<u32>) -> Result<Self, Error> {
        let view = Self { map: Arc::new(watch::Sender::new(Arc::default())), understood, heard };
        view.check(heard.unwrap_or_default())?;
        Ok(view)
    }

    /// The map now; version 0 and empty before one was heard.
    pub fn map(&self) -> Arc<ClusterMap> {
        self.map.borrow().clone()
    }

    /// The version to propose commands under: the one in force, which never falls; before it is known at all, the
    /// oldest of this program.
    pub fn command_version(&self) -> u32 {
        match self.map.borrow().command_version {
            0 => self.heard.unwrap_or(self.understood.min),
            in_force => in_force,
        }
    }

    /// Refuses a version in force that this program does not understand. Under a newer one it would stop at the next
    /// entry; under an older one its proposals would stop others. 0: none is known.
    pub fn check(&self, in_force: u32) -> Result<(), Error> {
        let understood = self.understood;
        if in_force == 0 || understood.contains(in_force) {
            Ok(())
        } else {
            Err(Error::CommandVersion { in_force, understood })
        }
    }

    /// Marks changes; coalesces them.
    pub fn watch(&self) -> watch::Receiver<Arc<ClusterMap>> {
        self.map.subscribe()
    }

    /// Takes a map over, unless it is no newer.
    pub fn publish(&self, map: Arc<ClusterMap>) -> bool {
        self.map.send_if_modified(|current| {
            let newer = map.map_version > current.map_version;
            if newer {
                *current = map;
            }
            newer
        })
    }
}

/// The node of that uuid in a map.
pub fn find_node<'a>(map: &'a ClusterMap, node_uuid: &[u8]) -> Option<&'a NodeInfo> {
    map.nodes.iter().find(|node| node.node_uuid == node_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::COMMAND_VERSIONS;

    #[test]
    fn the_version_in_force_is_proposed_and_one_beyond_this_program_refused() {
        let range = VersionRange { min: 2, max: 4 };
        let view = ClusterView::new(range, None).expect("nothing heard");
        assert_eq!(view.command_version(), 2, "the oldest, before anything is known");
        assert_eq!(ClusterView::new(range, Some(3)).expect("known").command_version(), 3, "before a map");
        ClusterView::new(range, Some(5)).expect_err("an older program than the one before");
        let map = |map_version, command_version| {
            Arc::new(ClusterMap { map_version, command_version, ..ClusterMap::default() })
        };
        view.publish(map(1, 3));
        assert_eq!(view.command_version(), 3);
        for (in_force, taken) in [(0, true), (1, false), (2, true), (4, true), (5, false)] {
            assert_eq!(view.check(in_force).is_ok(), taken, "{in_force}");
        }
        let refused = view.check(5).expect_err("too new").to_string();
        assert!(
            refused.contains("version 5 in force") && refused.contains("understands 2 to 4"),
            "{refused}"
        );
    }

    #[test]
    fn an_older_map_never_replaces_a_newer_one() {
        let view = ClusterView::new(COMMAND_VERSIONS, None).expect("nothing heard");
        let map = |map_version| Arc::new(ClusterMap { map_version, ..ClusterMap::default() });
        assert!(view.publish(map(2)));
        assert!(!view.publish(map(1)));
        assert!(!view.publish(map(2)));
        assert_eq!(view.map().map_version, 2);
    }
}
