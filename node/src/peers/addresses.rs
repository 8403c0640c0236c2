//! Where nodes are reached: uuid to host:port. An address is only an address; it may change at any time.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rowhouse_proto::wire::meta::NodeInfo;

use crate::identity::NodeUuid;

#[derive(Debug, Default)]
pub struct Addresses(ArcSwap<BTreeMap<NodeUuid, String>>);

impl Addresses {
    /// Takes over what `nodes` say; nodes they do not name keep their addresses.
    pub fn learn(&self, nodes: &[NodeInfo]) {
        let news: Vec<(NodeUuid, &str)> = nodes
            .iter()
            .filter_map(|node| Some((NodeUuid::try_from(&node.node_uuid[..]).ok()?, node.address.as_str())))
            .collect();
        let known = self.0.load();
        if news.iter().all(|(uuid, address)| known.get(uuid).is_some_and(|known| known == address)) {
            return;
        }
        let mut book = BTreeMap::clone(&known);
        book.extend(news.into_iter().map(|(uuid, address)| (uuid, address.to_owned())));
        self.0.store(Arc::new(book));
    }

    pub fn of(&self, node: NodeUuid) -> Option<String> {
        self.0.load().get(&node).cloned()
    }

    pub fn all(&self) -> Vec<(NodeUuid, String)> {
        self.0.load().iter().map(|(uuid, address)| (*uuid, address.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(n: u8, address: &str) -> NodeInfo {
        NodeInfo { node_uuid: vec![n; 16].into(), address: address.into(), name: String::new() }
    }

    #[test]
    fn a_new_address_replaces_the_old_one_and_malformed_uuids_are_left_out() {
        let addresses = Addresses::default();
        addresses.learn(&[node(1, "a:1"), node(2, "b:1")]);
        addresses.learn(&[node(1, "a:2"), NodeInfo { node_uuid: vec![3].into(), ..node(3, "c:1") }]);
        assert_eq!(addresses.of([1; 16]).as_deref(), Some("a:2"));
        assert_eq!(addresses.of([2; 16]).as_deref(), Some("b:1"));
        assert_eq!(addresses.all().len(), 2);
    }
}
