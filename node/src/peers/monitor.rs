//! Pings every known node each second. The answer tells that it lives, whether its disk is low, how far its clock is,
//! and whether it is of this cluster.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rowhouse_proto::wire::meta::{ClusterMap, PingReply, PingRequest};
use rowhouse_proto::{WIRE_VERSION, hex};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::pool::call;
use super::{Cluster, Report};
use crate::Error;
use crate::identity::NodeUuid;
use crate::local::Local;

const ROUND: Duration = Duration::from_secs(1);
/// A peer that answers later does not count in its round: a peer that is gone must not keep a starting node from
/// knowing the time.
const JUDGE_WITHIN: Duration = Duration::from_millis(300);

/// The actor that pings; keeps nothing between rounds.
pub struct Monitor {
    local: Arc<Local>,
    cluster: Arc<Cluster>,
}

/// The other nodes whose clocks count: those that have replicas, for a node that was replaced stays in the map. All of
/// them before there are any. A node may hear itself, if it is among its own seeds, and is no witness.
fn witnesses(map: &ClusterMap, me: &NodeUuid) -> BTreeSet<NodeUuid> {
    let replicas = map.groups.iter().flat_map(|group| &group.replicas);
    let mut nodes: BTreeSet<NodeUuid> =
        replicas.filter_map(|replica| NodeUuid::try_from(&replica.node_uuid[..]).ok()).collect();
    if nodes.is_empty() {
        nodes = map.nodes.iter().filter_map(|node| NodeUuid::try_from(&node.node_uuid[..]).ok()).collect();
    }
    nodes.remove(me);
    nodes
}

impl Monitor {
    /// Does nothing before it runs.
    pub fn new(local: Arc<Local>, cluster: Arc<Cluster>) -> Self {
        Self { local, cluster }
    }

    /// Runs until stopped; ends the node if a peer is of another cluster.
    pub async fn run(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let (mut draining, mut low_space) = (self.local.drain.watch(), self.local.space.watch());
        let mut map = self.cluster.view.watch();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // The others must hear of it before they choose whom to hand over to.
                changed = draining.changed() => changed.map_err(|_| Error::Stopped)?,
                // And of this before one of them leads: it takes or refuses writes by it.
                changed = low_space.changed() => changed.map_err(|_| Error::Stopped)?,
                // It names the nodes whose clocks count, and their addresses.
                changed = map.changed() => changed.map_err(|_| Error::Stopped)?,
                _ = tick.tick() => {}
            }
            self.round().await?;
        }
    }

    /// One ping to each known node, and to the seeds while no map tells of nodes.
    pub async fn round(&self) -> Result<(), Error> {
        let me = self.local.identity.node_uuid();
        let mut targets: Vec<(String, Option<String>)> = self
            .cluster
            .addresses
            .all()
            .into_iter()
            .filter(|(node, _)| *node != me)
            .map(|(_, peer)| (peer.address, Some(peer.name)))
            .collect();
        if self.cluster.view.map().map_version == 0 {
            targets.extend(self.cluster.seeds.iter().map(|seed| (seed.clone(), None)));
        }
        targets.sort_unstable();
        targets.dedup();
        let pings = targets.iter().map(|(address, name)| async move {
            let reply = self.ping(address, name.as_deref()).await?;
            Ok::<_, Error>((address, reply))
        });
        let mut answers: FuturesUnordered<_> = pings.collect();
        let patience = tokio::time::sleep(JUDGE_WITHIN);
        tokio::pin!(patience);
        let mut hlcs = Vec::new();
        loop {
            tokio::select! {
                answer = answers.next() => match answer {
                    Some(Ok((address, reply))) => {
                        self.take(address, &reply)?;
                        hlcs.push(reply.hlc);
                    }
                    // An absent peer is no error: the next round asks again.
                    Some(Err(_)) => {}
                    None => break,
                },
                () = &mut patience, if !patience.is_elapsed() => self.judge(),
            }
        }
        self.judge();
        for hlc in hlcs {
            self.local.clock.merge(hlc);
        }
        Ok(())
    }

    fn take(&self, address: &str, reply: &PingReply) -> Result<(), Error> {
        self.check_cluster(address, reply)?;
        if let Ok(node) = NodeUuid::try_from(&reply.node_uuid[..]) {
            self.cluster.peers.heard(
                node,
                Report {
                    low_space: reply.low_space,
                    draining: reply.draining,
                    log_hangs: reply.log_hangs,
                    offset_us: self.local.clock.offset_of(reply.physical_us),
                    map_version: reply.map_version,
                    at: Instant::now(),
                },
            );
        }
        Ok(())
    }

    fn judge(&self) {
        let map = self.cluster.view.map();
        if self.local.identity.cluster_id().is_none() {
            self.local.clock.judge_alone();
        } else if map.map_version != 0 {
            let witnesses = witnesses(&map, &self.local.identity.node_uuid());
            self.local.clock.judge(self.cluster.peers.offsets_us(&witnesses), witnesses.len() + 1);
        }
    }

    async fn ping(&self, address: &str, name: Option<&str>) -> Result<PingReply, Error> {
        let mut client = self.cluster.pool.meta(address, name)?;
        let request = PingRequest {
            version: WIRE_VERSION,
            cluster_id: self.local.identity.cluster_id().map(|id| id.to_vec().into()).unwrap_or_default(),
            node_uuid: self.local.identity.node_uuid().to_vec().into(),
            hlc: self.local.clock.latest(),
            draining: self.local.drain.is_on(),
            low_space: self.local.space.is_low(),
            log_hangs: self.local.log_hangs(),
            physical_us: self.local.clock.reading_us(),
            map_version: self.cluster.view.map().map_version,
        };
        call(address, client.ping(request)).await
    }

    fn check_cluster(&self, peer: &str, reply: &PingReply) -> Result<(), Error> {
        match self.local.identity.cluster_id() {
            Some(ours) if !reply.cluster_id.is_empty() && reply.cluster_id != ours[..] => {
                Err(Error::ForeignCluster {
                    ours: hex(&ours),
                    theirs: hex(&reply.cluster_id),
                    peer: peer.to_owned(),
                })
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{GroupInfo, NodeInfo, ReplicaInfo};

    fn uuid(node: u8) -> bytes::Bytes {
        vec![node; 16].into()
    }

    #[test]
    fn nodes_that_were_replaced_have_no_say_in_what_time_it_is() {
        let nodes = (1..=6).map(|n| NodeInfo { node_uuid: uuid(n), ..NodeInfo::default() }).collect();
        let mut map = ClusterMap { nodes, ..ClusterMap::default() };
        assert_eq!(witnesses(&map, &[1; 16]), (2..=6).map(|n| [n; 16]).collect(), "before shards are placed");
        let replica = |n: u8| ReplicaInfo { replica_id: n.into(), node_uuid: uuid(n) };
        map.groups = vec![GroupInfo { replicas: [1, 5, 6].map(replica).to_vec(), ..GroupInfo::default() }];
        assert_eq!(witnesses(&map, &[1; 16]), [[5; 16], [6; 16]].into());
        assert_eq!(witnesses(&map, &[2; 16]), [[1; 16], [5; 16], [6; 16]].into(), "it asks them too");
    }
}
