//! The map watch: one stream from any node that answers, reopened elsewhere when it ends or falls
//! silent. It owns the seeds; the map itself belongs to `Cluster`.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::WatchMapRequest;
use tokio_util::sync::CancellationToken;

use super::{Cluster, Node};
use crate::Error;

/// Nodes send at least every 10 s: three of those missed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A node that has no usable map yet may be the only one without: ask another soon.
const UNUSABLE_MAX: Duration = Duration::from_secs(1);
/// Opening the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// Between streams: short enough for a starting cluster, long enough for a dead one.
const PAUSE: Duration = Duration::from_millis(250);

/// Runs until `stop`, or until the cluster turns out to be another homeserver's.
pub async fn watch(cluster: Arc<Cluster>, seeds: Vec<String>, stop: CancellationToken) -> Result<(), Error> {
    let seed = |address: &String| Node::seed(address, cluster.dialer()).map(Arc::new);
    let seeds: Vec<Arc<Node>> = seeds.iter().map(seed).collect::<Result<_, _>>()?;
    let mut turn: usize = rand::random_range(0..seeds.len().max(1));
    loop {
        let learned: Vec<Arc<Node>> =
            cluster.map_now().map(|map| map.nodes().map(Arc::clone).collect()).unwrap_or_default();
        let known = seeds.len() + learned.len();
        let Some(node) = turn.checked_rem(known).and_then(|at| seeds.iter().chain(&learned).nth(at)) else {
            return Ok(());
        };
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            followed = follow(&cluster, node) => followed?,
        }
        tracing::debug!(node = node.address(), "map watch ended");
        turn = turn.wrapping_add(1);
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Follows one node's stream to its end.
async fn follow(cluster: &Cluster, node: &Node) -> Result<(), Error> {
    let mut meta = node.meta();
    let opening = meta.watch_map(WatchMapRequest { version: WIRE_VERSION, changes: false });
    let Ok(Ok(reply)) = tokio::time::timeout(OPEN_TIMEOUT, opening).await else { return Ok(()) };
    let mut maps = reply.into_inner();
    let mut patience = OPEN_TIMEOUT;
    while let Ok(Ok(Some(map))) = tokio::time::timeout(patience, maps.message()).await {
        patience = if cluster.install(&map, node.address())? { SILENCE_MAX } else { UNUSABLE_MAX };
    }
    Ok(())
}
