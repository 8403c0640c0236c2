//! The map watch: one stream from any node that answers, reopened elsewhere when it ends, falls silent or lags. After
//! the first map it brings changes (docs/rules/consensus.md#the-map-is-sent-as-changes). It owns the seeds; the map
//! itself belongs to `Cluster`.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::wire::meta::WatchMapRequest;
use rowhouse_proto::{WIRE_VERSION, map_change};
use tokio_util::sync::CancellationToken;

use super::{Cluster, Node};
use crate::Error;

/// Nodes send at least every 10 s: three of those missed.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// A node that has no usable map yet may be the only one without: ask another soon.
const UNUSABLE_MAX: Duration = Duration::from_secs(1);
/// Opening the stream.
const OPEN_TIMEOUT: Duration = Duration::from_secs(3);
/// A node that serves an old map for longer than this lags: ask another.
const BEHIND_MAX: Duration = Duration::from_secs(1);
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

/// Follows one node's stream to its end, and no longer than the node keeps up with others.
async fn follow(cluster: &Cluster, node: &Node) -> Result<(), Error> {
    tokio::select! {
        followed = take_maps(cluster, node) => followed,
        () = left_behind(cluster) => {
            tracing::debug!(node = node.address(), "others have a newer map");
            cluster.forget_told();
            Ok(())
        }
    }
}

async fn take_maps(cluster: &Cluster, node: &Node) -> Result<(), Error> {
    let mut meta = node.meta();
    let opening = meta.watch_map(WatchMapRequest { version: WIRE_VERSION, changes: true });
    let Ok(Ok(reply)) = tokio::time::timeout(OPEN_TIMEOUT, opening).await else { return Ok(()) };
    let mut messages = reply.into_inner();
    let mut map = Arc::default();
    let mut patience = OPEN_TIMEOUT;
    while let Ok(Ok(Some(message))) = tokio::time::timeout(patience, messages.message()).await {
        let hlc = message.hlc;
        if let Err(wrong) = map_change::apply(&mut map, message) {
            tracing::warn!(node = node.address(), %wrong, "asking for the whole map again");
            return Ok(());
        }
        patience = if cluster.install(&map, hlc, node.address())? { SILENCE_MAX } else { UNUSABLE_MAX };
    }
    Ok(())
}

/// Returns once a newer map than this gateway's has been heard of for `BEHIND_MAX`.
async fn left_behind(cluster: &Cluster) {
    loop {
        cluster.until_behind().await;
        tokio::time::sleep(BEHIND_MAX).await;
        if cluster.is_behind() {
            return;
        }
    }
}
