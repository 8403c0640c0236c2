//! The cluster map as this node knows it now. One writer (the map watch), many readers.

use std::sync::Arc;

use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use tokio::sync::watch;

/// Starts with an empty map: not initialized.
#[derive(Clone, Debug)]
pub struct ClusterView(Arc<watch::Sender<Arc<ClusterMap>>>);

impl Default for ClusterView {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Arc::default())))
    }
}

impl ClusterView {
    pub fn map(&self) -> Arc<ClusterMap> {
        self.0.borrow().clone()
    }

    /// Marks changes; coalesces them.
    pub fn watch(&self) -> watch::Receiver<Arc<ClusterMap>> {
        self.0.subscribe()
    }

    /// Takes a map over, unless it is no newer.
    pub fn publish(&self, map: ClusterMap) -> bool {
        self.0.send_if_modified(|current| {
            let newer = map.map_version > current.map_version;
            if newer {
                *current = Arc::new(map);
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

    #[test]
    fn an_older_map_never_replaces_a_newer_one() {
        let view = ClusterView::default();
        let map = |map_version| ClusterMap { map_version, ..ClusterMap::default() };
        assert!(view.publish(map(2)));
        assert!(!view.publish(map(1)));
        assert!(!view.publish(map(2)));
        assert_eq!(view.map().map_version, 2);
    }
}
