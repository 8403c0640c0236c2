//! One look at the cluster through the gateway's own connections: the newest map, and every node's own status.

use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::future::join_all;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo, NodeStatusReply, NodeStatusRequest, WatchMapRequest};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};
use tokio::time::timeout;
use tonic::Status;

use crate::cluster::{Cluster, Node};
use crate::overview::{Answer, View};

/// A status is read from memory. A node that takes longer is shown as silent, and the page stays live.
const ANSWER_MAX: Duration = Duration::from_secs(2);

/// Asks all nodes at once. `last` is the map that was seen last: it serves while no node answers. `None` before the
/// first map.
pub async fn look(cluster: &Cluster, last: Option<&ClusterMap>) -> Option<View> {
    let routes = cluster.map_now()?;
    let asked = join_all(routes.nodes().map(|node| status(node))).await;
    let replies: Vec<(&Node, Answer)> = routes.nodes().map(AsRef::as_ref).zip(asked).collect();
    let map = match newest(&replies).await {
        Some(map) => map,
        None => last?.clone(),
    };
    let answers = map.nodes.iter().map(|info| answer_of(&replies, info)).collect();
    let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    Some(View::new(map, answers, u64::try_from(now_ms).unwrap_or(u64::MAX)))
}

async fn status(node: &Node) -> Answer {
    let mut meta = node.meta();
    let request = NodeStatusRequest { version: WIRE_VERSION, scan: false };
    let problem = |text: &str| format!("node {}: {text}", node.address());
    match timeout(ANSWER_MAX, meta.node_status(request)).await {
        Ok(Ok(reply)) => Ok(reply.into_inner()),
        Ok(Err(status)) => Err(problem(&cause(&status))),
        Err(_) => Err(problem(&format!("no answer within {} s", ANSWER_MAX.as_secs()))),
    }
}

/// What a node answered, or the innermost reason why it did not: the outer ones only say that there is one.
fn cause(status: &Status) -> String {
    let mut innermost = status.source();
    while let Some(deeper) = innermost.and_then(Error::source) {
        innermost = Some(deeper);
    }
    innermost.map_or_else(|| status.message().to_owned(), ToString::to_string)
}

/// The map of the node that leads the meta group, else of the one that has the newest.
async fn newest(replies: &[(&Node, Answer)]) -> Option<ClusterMap> {
    let answered = || replies.iter().filter_map(|(node, answer)| Some((*node, answer.as_ref().ok()?)));
    let leads = |reply: &NodeStatusReply| {
        reply.groups.iter().any(|group| group.group == META_GROUP && group.role == "leader")
    };
    let (node, _) = answered().max_by_key(|(_, reply)| (leads(reply), reply.map_version))?;
    let mut meta = node.meta();
    let asking = async {
        // The first message is whole in any case.
        let request = WatchMapRequest { version: WIRE_VERSION, changes: true };
        meta.watch_map(request).await.ok()?.into_inner().message().await.ok()?
    };
    timeout(ANSWER_MAX, asking).await.ok()?
}

/// A node that joined a moment ago is in the map and not among the routes yet.
fn answer_of(replies: &[(&Node, Answer)], info: &NodeInfo) -> Answer {
    let asked = replies.iter().find(|(node, _)| node.uuid() == info.node_uuid);
    match asked {
        Some((_, answer)) => answer.clone(),
        None => Err(format!("node {}: not asked yet", info.address)),
    }
}
