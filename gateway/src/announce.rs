//! Tells the coordinator that this gateway answers, so that its address may be published. Starts after
//! both listeners accept; repeats, because a new meta leader may have missed it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::AnnounceGatewayRequest;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::cluster::{Cluster, Map, Node};

/// As often as the map watch shows signs of life.
const INTERVAL: Duration = Duration::from_secs(10);
/// After a failure: leaders change within a second or two.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);
/// One answer of the meta leader, which commits to its log.
const TIMEOUT: Duration = Duration::from_secs(5);
/// A redirect, its correction, and one more for an election in between.
const HOPS_MAX: usize = 3;

/// Runs until `stop`.
pub async fn announce(
    cluster: Arc<Cluster>,
    listeners: [SocketAddr; 2],
    request: AnnounceGatewayRequest,
    stop: CancellationToken,
) {
    loop {
        let accepted = answers(listeners).await && announce_once(&cluster, &request).await;
        let pause = if accepted { INTERVAL } else { RETRY_INTERVAL };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn answers(listeners: [SocketAddr; 2]) -> bool {
    for address in listeners {
        if TcpStream::connect(address).await.is_err() {
            tracing::warn!(%address, "own listener does not answer");
            return false;
        }
    }
    true
}

async fn announce_once(cluster: &Cluster, request: &AnnounceGatewayRequest) -> bool {
    let Some(map) = cluster.map_now() else { return false };
    let candidates = candidates(&map);
    let leader = map.group(META_GROUP).and_then(|group| group.leader());
    let Some(mut index) = leader.or_else(|| rand::random_range(0..candidates.len().max(1)).into()) else {
        return false;
    };
    for _ in 0..HOPS_MAX {
        let Some(node) = candidates.get(index) else { return false };
        let mut meta = node.meta();
        let sending = meta.announce_gateway(request.clone());
        let Ok(Ok(reply)) = tokio::time::timeout(TIMEOUT, sending).await else {
            forget(&map, index);
            return false;
        };
        let reply = reply.into_inner();
        if reply.accepted {
            if let Some(group) = map.group(META_GROUP) {
                group.set_leader(index);
            }
            return true;
        }
        forget(&map, index);
        match candidates.iter().position(|node| node.uuid() == reply.leader_node) {
            Some(hinted) if hinted != index => index = hinted,
            _ => return false,
        }
    }
    false
}

/// The meta group's replicas; every node while the map does not name them.
fn candidates(map: &Map) -> Vec<Arc<Node>> {
    let replicas = map.group(META_GROUP).map(|group| group.replicas()).unwrap_or_default();
    if replicas.is_empty() { map.nodes().map(Arc::clone).collect() } else { replicas.to_vec() }
}

fn forget(map: &Map, index: usize) {
    if let Some(group) = map.group(META_GROUP) {
        group.forget_leader(index);
    }
}
