//! Carries out steps: as entries of the meta group, or as calls to the nodes that lead.

use std::sync::Arc;

use futures::{StreamExt, stream};
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::{ChangeMembersRequest, ClusterMap, TransferLeaderRequest};
use tracing::{info, warn};

use super::propose::propose;
use crate::identity::NodeUuid;
use crate::local::Local;
use crate::peers::{Cluster, call};
use crate::placement::{Change, Step};
use crate::{Error, Group};

/// Steps under way at once; each waits for one group or one entry.
const STEPS_AT_ONCE: usize = 16;

/// What steps are carried out with: this node, the way to the others, and in whose name.
pub struct Hands<'a> {
    pub local: &'a Arc<Local>,
    pub cluster: &'a Arc<Cluster>,
    /// The meta group, led from here.
    pub meta: &'a Group,
    pub map: &'a ClusterMap,
    /// The term in which this node leads it.
    pub term: u64,
}

impl Hands<'_> {
    /// Carries all of them out. What fails is chosen again in the next round if it is still due.
    pub async fn carry_out_all(&self, steps: Vec<Step>) {
        let carried = stream::iter(steps).for_each_concurrent(STEPS_AT_ONCE, |step| async move {
            if let Err(error) = self.carry_out(&step).await {
                warn!(?step, %error, "a step was not carried out");
            }
        });
        carried.await;
    }

    #[tracing::instrument(name = "coordinator.step", parent = None, skip_all, fields(step = step.name()))]
    async fn carry_out(&self, step: &Step) -> Result<(), Error> {
        match step {
            Step::Change(change) => return self.change(change).await,
            Step::Transfer { group, leader, to_replica } => {
                return self.transfer(*group, *leader, *to_replica).await;
            }
            _ => {}
        }
        let Some(body) = step.command() else { return Ok(()) };
        propose(self.meta, &self.local.clock, body).await?;
        self.tell(step);
        Ok(())
    }

    /// Every move is in the log once when it begins and once when it ends.
    fn tell(&self, step: &Step) {
        let name = |node: &NodeUuid| {
            let known = self.map.nodes.iter().find(|info| info.node_uuid == node[..]);
            known.map(|info| info.name.clone()).unwrap_or_default()
        };
        match step {
            Step::Mark { node, away: true } => warn!(node = name(node), "a node is away"),
            Step::Mark { node, away: false } => info!(node = name(node), "a node is back"),
            Step::Remove { node } => {
                info!(node = name(node), "a lost node holds nothing more; it left the map")
            }
            Step::EndRebalance => info!("replicas are spread evenly"),
            Step::Begin { group, remove, to_node, reason, .. } => {
                let to = to_node.as_ref().map(name);
                info!(group, remove, to, reason, "a replica begins to move");
            }
            Step::End { group, add, done: true } => info!(group, add, "a replica has moved"),
            Step::End { group, add, done: false } => warn!(group, add, "a move is given up"),
            Step::Change(_) | Step::Transfer { .. } => {}
        }
    }

    async fn change(&self, change: &Change) -> Result<(), Error> {
        let request = ChangeMembersRequest {
            version: WIRE_VERSION,
            cluster_id: self.map.cluster_id.clone(),
            coordinator_term: self.term,
            coordinator_replica: self.meta.replica(),
            group: change.group,
            expect: Some(change.expect),
            voters: change.voters.clone(),
            learners: change.learners.clone(),
        };
        let peer = self.peer(change.leader)?;
        let mut client = self.cluster.pool.meta(&peer.address, Some(&peer.name))?;
        let reply = call(&peer.address, client.change_members(request)).await?;
        done(&peer.address, reply.refused)?;
        info!(group = change.group, what = change.what, "members change");
        Ok(())
    }

    /// Asks the node that leads a group to hand it to another replica.
    pub async fn transfer(&self, group: u32, leader: NodeUuid, to_replica: u64) -> Result<(), Error> {
        let request = TransferLeaderRequest {
            version: WIRE_VERSION,
            cluster_id: self.map.cluster_id.clone(),
            coordinator_term: self.term,
            coordinator_replica: self.meta.replica(),
            group,
            to_replica,
        };
        let peer = self.peer(leader)?;
        let mut client = self.cluster.pool.meta(&peer.address, Some(&peer.name))?;
        let reply = call(&peer.address, client.transfer_leader(request)).await?;
        done(&peer.address, reply.refused)
    }

    fn peer(&self, node: NodeUuid) -> Result<rowhouse_raft::transport::Peer, Error> {
        let unknown = || Error::Peer { peer: rowhouse_proto::hex(&node), detail: "no such node".to_owned() };
        self.cluster.addresses.of(node).ok_or_else(unknown)
    }
}

fn done(peer: &str, refused: String) -> Result<(), Error> {
    if refused.is_empty() { Ok(()) } else { Err(Error::Peer { peer: peer.to_owned(), detail: refused }) }
}
