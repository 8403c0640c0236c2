//! Whether a change of the map has reached every node. Default quotas, and all else that nodes judge by the map, hold in
//! the next request once it has.

use std::time::Duration;

use futures::future::join_all;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::NodeStatusRequest;

use crate::cluster::{Cluster, Node};

/// Nodes hear of a change within 200 ms; one that has not after this is cut off, or very busy.
pub const CONFIRM_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two questions to the same node.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The addresses of the nodes that do not say, within `patience`, that they have the map of this version. Each of them
/// goes by an older one if it lives and is not cut off from its peers.
pub async fn unconfirmed(cluster: &Cluster, version: u64, patience: Duration) -> Vec<String> {
    let Some(map) = cluster.map_now() else { return Vec::new() };
    let asked = map.nodes().map(async |node| {
        let has = tokio::time::timeout(patience, until_it_has(node, version)).await.is_ok();
        (!has).then(|| node.address().to_owned())
    });
    join_all(asked).await.into_iter().flatten().collect()
}

async fn until_it_has(node: &Node, version: u64) {
    let request = NodeStatusRequest { version: WIRE_VERSION, scan: false };
    loop {
        if let Ok(status) = node.meta().node_status(request).await
            && status.get_ref().map_version >= version
        {
            return;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Limits;
    use crate::testing::{FakeNode, SECRET, Script, map_of};
    use pubky_common::crypto::Keypair;
    use rowhouse_peer::Dialer;

    #[tokio::test]
    async fn nodes_without_the_change_are_named() {
        let nodes = [FakeNode::start(Script::default()).await, FakeNode::start(Script::default()).await];
        let addresses = nodes.each_ref().map(|node| node.address);
        let map = |version| map_of(version, 1, &addresses, "open");
        let homeserver = Keypair::from_secret(&SECRET).public_key();
        let cluster = Cluster::new(&Limits::default(), Dialer::plaintext(), homeserver);
        assert!(cluster.install(&map(1), 1, "n1").expect("of this homeserver"));
        for node in &nodes {
            node.publish(map(7));
        }
        let soon = Duration::from_millis(500);
        assert_eq!(unconfirmed(&cluster, 7, CONFIRM_TIMEOUT).await, Vec::<String>::new());
        nodes[0].publish(map(8));
        assert_eq!(unconfirmed(&cluster, 8, soon).await, [addresses[1].to_string()]);
    }
}
