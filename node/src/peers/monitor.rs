//! Pings every known node each second: is it there, is its disk low, how far is its clock, and is it of
//! this cluster at all.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use futures::future::join_all;
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::{PingReply, PingRequest};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::pool::{Pool, call};
use super::{Addresses, ClusterView};
use crate::Error;
use crate::clock::Clock;
use crate::drain::Drain;
use crate::identity::{Identity, NodeUuid, hex};

const ROUND: Duration = Duration::from_secs(1);
/// A node silent for longer is not counted on: three rounds.
const HEARD_WITHIN: Duration = Duration::from_secs(3);

/// What the last pings told; read without a lock.
#[derive(Debug, Default)]
pub struct Peers(ArcSwap<BTreeMap<NodeUuid, Report>>);

/// Of a peer when it was last heard from.
#[derive(Clone, Copy, Debug)]
struct Report {
    low_space: bool,
    draining: bool,
    at: Instant,
}

impl Peers {
    /// Whether the node, when last heard, was below its low-space mark.
    pub fn is_low(&self, node: &NodeUuid) -> bool {
        self.0.load().get(node).is_some_and(|report| report.low_space)
    }

    /// Whether the node was heard lately and does not give its leaderships away.
    pub fn may_lead(&self, node: &NodeUuid) -> bool {
        let peers = self.0.load();
        peers.get(node).is_some_and(|report| !report.draining && report.at.elapsed() < HEARD_WITHIN)
    }

    /// The node said so itself, without being asked.
    pub fn heard_draining(&self, node: NodeUuid, draining: bool) {
        let known = self.0.load().get(&node).copied();
        if known.is_some_and(|known| known.draining == draining) {
            return;
        }
        let low_space = known.is_some_and(|known| known.low_space);
        self.record(vec![(node, Report { low_space, draining, at: Instant::now() })]);
    }

    fn record(&self, answers: Vec<(NodeUuid, Report)>) {
        if answers.is_empty() {
            return;
        }
        self.0.rcu(|peers| {
            let mut peers = BTreeMap::clone(peers);
            peers.extend(answers.iter().copied());
            peers
        });
    }
}

pub struct Monitor {
    pub identity: Arc<Identity>,
    pub addresses: Arc<Addresses>,
    pub pool: Arc<Pool>,
    pub view: ClusterView,
    pub peers: Arc<Peers>,
    pub clock: Arc<Clock>,
    pub drain: Arc<Drain>,
    pub seeds: Vec<String>,
}

impl Monitor {
    /// Runs until stopped; ends the node if a peer is of another cluster.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) -> Result<(), Error> {
        let mut tick = tokio::time::interval(ROUND);
        tick.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut draining = self.drain.watch();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                // The others must hear of it before they choose whom to hand over to.
                changed = draining.changed() => changed.map_err(|_| Error::Stopped)?,
                _ = tick.tick() => {}
            }
            self.round().await?;
        }
    }

    /// One ping to each known node, and to the seeds while no map tells of nodes.
    pub async fn round(&self) -> Result<(), Error> {
        let me = self.identity.node_uuid();
        let mut targets: Vec<String> = self
            .addresses
            .all()
            .into_iter()
            .filter(|(node, _)| *node != me)
            .map(|(_, address)| address)
            .collect();
        if self.view.map().map_version == 0 {
            targets.extend(self.seeds.iter().cloned());
        }
        targets.sort_unstable();
        targets.dedup();
        let answers = join_all(targets.iter().map(|address| self.ping(address))).await;
        let mut heard = Vec::with_capacity(answers.len());
        for (address, answer) in targets.iter().zip(answers) {
            // An absent peer is no error: the next round asks again.
            let Ok(reply) = answer else { continue };
            self.check_cluster(address, &reply)?;
            self.clock.merge(reply.hlc);
            if let Ok(node) = NodeUuid::try_from(&reply.node_uuid[..]) {
                let PingReply { low_space, draining, .. } = reply;
                heard.push((node, Report { low_space, draining, at: Instant::now() }));
            }
        }
        self.peers.record(heard);
        Ok(())
    }

    async fn ping(&self, address: &str) -> Result<PingReply, Error> {
        let mut client = self.pool.meta(address)?;
        let request = PingRequest {
            version: WIRE_VERSION,
            cluster_id: self.identity.cluster_id().map(|id| id.to_vec().into()).unwrap_or_default(),
            node_uuid: self.identity.node_uuid().to_vec().into(),
            hlc: self.clock.latest(),
            draining: self.drain.is_on(),
        };
        call(address, client.ping(request)).await
    }

    fn check_cluster(&self, peer: &str, reply: &PingReply) -> Result<(), Error> {
        match self.identity.cluster_id() {
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
