//! Looks at a cluster: the newest map that can be had, then every node of it for its own view.

use std::time::{SystemTime, UNIX_EPOCH};

use rowhouse_gateway::overview::{Answer, View};
use rowhouse_peer::Dialer;
use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use tokio::task::JoinSet;

use super::args::Access;
use super::client::NodeClient;
use crate::error::Error;

/// Looks again and again, through other nodes if the one it was given ends.
pub struct Observer {
    seed: String,
    /// With the operator's certificates.
    pub dialer: Dialer,
    /// Addresses in the map that was seen last.
    others: Vec<String>,
}

impl Observer {
    /// Fails if the certificates that `access` names are of no use.
    pub fn new(access: &Access) -> Result<Self, Error> {
        Ok(Self { seed: access.node.clone(), dialer: access.tls.dialer()?, others: Vec::new() })
    }

    /// Fails if no node answers, or if the one asked belongs to no cluster.
    pub async fn look(&mut self) -> Result<View, Error> {
        let map = self.any_map().await?;
        let view = self.view(map).await;
        // What was decided a moment ago may not have reached the node that was asked for the map.
        let Some((leader, _)) = view.leader(META_GROUP) else { return Ok(self.remember(view)) };
        let newest = async {
            NodeClient::connect(&leader.address, &self.dialer, Some(&leader.name)).await?.map().await
        };
        let view = match newest.await {
            Ok(newer) if newer.map_version > view.map.map_version => self.view(newer).await,
            _ => view,
        };
        Ok(self.remember(view))
    }

    async fn any_map(&self) -> Result<ClusterMap, Error> {
        let error = match map_of(&self.seed, &self.dialer).await {
            Ok(map) => return Ok(map),
            Err(error) => error,
        };
        for other in self.others.iter().filter(|other| **other != self.seed) {
            if let Ok(map) = map_of(other, &self.dialer).await {
                return Ok(map);
            }
        }
        Err(error)
    }

    async fn view(&self, map: ClusterMap) -> View {
        let answers = ask_all(&map.nodes, &self.dialer).await;
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        View::new(map, answers, u64::try_from(now_ms).unwrap_or(u64::MAX))
    }

    fn remember(&mut self, view: View) -> View {
        self.others = view.map.nodes.iter().map(|node| node.address.clone()).collect();
        view
    }
}

async fn map_of(address: &str, dialer: &Dialer) -> Result<ClusterMap, Error> {
    let map = NodeClient::connect(address, dialer, None).await?.map().await?;
    if map.cluster_id.is_empty() {
        let text = "belongs to no cluster yet: run `rowhouse cluster init`".to_owned();
        return Err(Error::Node { address: address.to_owned(), text });
    }
    Ok(map)
}

/// All nodes at once: a dead one costs its own deadline, not everybody's.
async fn ask_all(nodes: &[NodeInfo], dialer: &Dialer) -> Vec<Answer> {
    let mut asked = JoinSet::new();
    for (index, node) in nodes.iter().enumerate() {
        let (node, dialer) = (node.clone(), dialer.clone());
        asked.spawn(async move {
            let answer =
                async { NodeClient::connect(&node.address, &dialer, Some(&node.name)).await?.status().await };
            (index, answer.await.map_err(|error: Error| error.to_string()))
        });
    }
    let mut answers: Vec<Answer> =
        nodes.iter().map(|node| Err(format!("node {}: no answer", node.address))).collect();
    while let Some(Ok((index, answer))) = asked.join_next().await {
        answers[index] = answer;
    }
    answers
}
