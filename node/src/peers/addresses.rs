//! Where nodes are reached, and what they are called. An address is only an address; it may change at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_raft::transport::Peer;

use crate::identity::NodeUuid;

/// By node; read without a lock. Nodes are never forgotten.
#[derive(Debug, Default)]
pub struct Addresses(ArcSwap<BTreeMap<NodeUuid, Peer>>);

impl Addresses {
    /// Takes over what `nodes` say; nodes they do not name keep their addresses.
    pub fn learn(&self, nodes: &[NodeInfo]) {
        let uuid_of = |node: &NodeInfo| NodeUuid::try_from(&node.node_uuid[..]).ok();
        let news: Vec<(NodeUuid, &NodeInfo)> =
            nodes.iter().filter_map(|node| Some((uuid_of(node)?, node))).collect();
        let known = self.0.load();
        let is_known = |(uuid, node): &(NodeUuid, &NodeInfo)| {
            known.get(uuid).is_some_and(|known| known.address == node.address && known.name == node.name)
        };
        if news.iter().all(is_known) {
            return;
        }
        let mut book = BTreeMap::clone(&known);
        let peer = |node: &NodeInfo| Peer { address: node.address.clone(), name: node.name.clone() };
        book.extend(news.into_iter().map(|(uuid, node)| (uuid, peer(node))));
        self.0.store(Arc::new(book));
    }

    /// Where this node is reached, if that is known.
    pub fn of(&self, node: NodeUuid) -> Option<Peer> {
        self.0.load().get(&node).cloned()
    }

    /// Every known node, in the order of uuids.
    pub fn all(&self) -> Vec<(NodeUuid, Peer)> {
        self.0.load().iter().map(|(uuid, peer)| (*uuid, peer.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8, address: &str) -> NodeInfo {
        NodeInfo {
            node_uuid: vec![n; 16].into(),
            address: address.into(),
            name: format!("n{n}"),
            ..NodeInfo::default()
        }
    }

    #[test]
    fn a_new_address_replaces_the_old_one_and_malformed_uuids_are_left_out() {
        let addresses = Addresses::default();
        addresses.learn(&[node(1, "a:1"), node(2, "b:1")]);
        addresses.learn(&[node(1, "a:2"), NodeInfo { node_uuid: vec![3].into(), ..node(3, "c:1") }]);
        let known = |n: u8| addresses.of([n; 16]).map(|peer| (peer.address, peer.name));
        assert_eq!(known(1), Some(("a:2".into(), "n1".into())));
        assert_eq!(known(2), Some(("b:1".into(), "n2".into())));
        assert_eq!(addresses.all().len(), 2);
    }
}
