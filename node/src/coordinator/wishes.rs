//! What operators ask for: about nodes, shards and their balance.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::command::meta_command::Body;
use rowhouse_proto::wire::command::{BeginMove, DirectNode, Rebalance, RecoverGroup, RemoveNode};
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{
    ClusterMap, GroupInfo, MoveWish, NodeWish, RecoverWish, TransferWish, node_wish::Fate,
};
use tracing::info;

use super::actor::Coordinator;
use super::propose::propose;
use crate::placement::{Observed, ObservedGroup, REPLICAS, uuid};
use crate::{Error, Group, meta};

/// A node that was heard of within this is not lost.
const LOST_AFTER: std::time::Duration = std::time::Duration::from_secs(3);

impl Coordinator {
    /// Does what an operator wishes, on the node that leads the meta group. `MetaRefused` says why not.
    pub async fn grant(&self, group: &Group, wish: Wish) -> Result<(), Error> {
        group.read_barrier().await.map_err(|error| Error::MetaRefused(error.to_string()))?;
        let map = group.read(|view| meta::cluster_map(view))?;
        let map = map.ok_or_else(|| refused("the cluster is not initialized"))?;
        if map.command_version < meta::PLACEMENT_VERSION {
            return Err(refused(
                "a node of the cluster runs an older program: upgrade all of them first, `rowhouse ctl status` \
                 names their versions",
            ));
        }
        let body = match wish {
            Wish::Node(wish) => self.fate(&map, &wish)?,
            Wish::Move(wish) => begin(&map, &wish)?,
            Wish::Transfer(wish) => return self.lead(group, &map, &wish).await,
            Wish::Rebalance(on) => Body::Rebalance(Rebalance { on }),
            Wish::Recover(wish) => self.recover(&map, &wish).await?,
        };
        info!(?body, "the operator asks");
        propose(group, &self.local.clock, body).await
    }

    fn fate(&self, map: &ClusterMap, wish: &NodeWish) -> Result<Body, Error> {
        let node_uuid = wish.node_uuid.clone();
        let node = uuid(&node_uuid);
        let known = map.nodes.iter().find(|info| info.node_uuid == node_uuid);
        let name = &known.ok_or_else(|| refused("no such node"))?.name;
        let direct =
            |leaving, lost| Ok(Body::DirectNode(DirectNode { node_uuid: node_uuid.clone(), leaving, lost }));
        match wish.fate() {
            Fate::Stay => direct(false, false),
            Fate::Leave => {
                let staying = staying(map, &node_uuid);
                let needed = map.groups.iter().map(|group| group.replicas.len()).max().unwrap_or(REPLICAS);
                if staying < needed {
                    return Err(refused(format!(
                        "node {name} cannot leave: shards have {needed} replicas on as many nodes, and only \
                         {staying} others stay; add a node first"
                    )));
                }
                direct(true, false)
            }
            Fate::Lost => {
                let answers = node == self.local.identity.node_uuid()
                    || self.cluster.peers.silence(&node).is_some_and(|quiet| quiet < LOST_AFTER);
                if answers {
                    return Err(refused(format!(
                        "node {name} is not lost: it answers. `rowhouse ctl node drain` moves its replicas away"
                    )));
                }
                direct(false, true)
            }
            Fate::Remove => Ok(Body::RemoveNode(RemoveNode { node_uuid })),
        }
    }

    /// The map believes only a replica that says itself that it leads its group alone, while most others are silent: the
    /// node that it is on may have been cut off from a majority that lives on.
    async fn recover(&self, map: &ClusterMap, wish: &RecoverWish) -> Result<Body, Error> {
        let RecoverWish { group, replica } = *wish;
        let observed = Observed::of(&self.statuses(map).await, &Observed::default());
        check_survivor(find(map, group)?, observed.groups.get(&group), replica).map_err(refused)?;
        Ok(Body::RecoverGroup(RecoverGroup { group, replica }))
    }

    async fn lead(&self, group: &Group, map: &ClusterMap, wish: &TransferWish) -> Result<(), Error> {
        let info = find(map, wish.group)?;
        let to = info.replicas.iter().find(|replica| replica.node_uuid == wish.to_node);
        let to = to.ok_or_else(|| refused("that node has no replica of the shard"))?;
        let observed = Observed::of(&self.statuses(map).await, &Observed::default());
        let leader = observed.groups.get(&wish.group).and_then(|seen| seen.leader.as_ref());
        let leader = leader.ok_or_else(|| refused("nobody leads the shard now; try again"))?;
        if leader.replica == to.replica_id {
            return Ok(());
        }
        self.hands(group, map).transfer(wish.group, leader.node, to.replica_id).await
    }
}

/// Nodes without this one that are meant to stay.
fn staying(map: &ClusterMap, without: &[u8]) -> usize {
    let stays = |life: rowhouse_proto::wire::meta::NodeLife| !life.leaving && !life.lost;
    map.nodes.iter().filter(|it| it.node_uuid != without && it.life.is_none_or(stays)).count()
}

fn begin(map: &ClusterMap, wish: &MoveWish) -> Result<Body, Error> {
    let info = find(map, wish.group)?;
    let from = info.replicas.iter().find(|replica| replica.node_uuid == wish.from_node);
    let from = from.ok_or_else(|| refused("that node has no replica of the shard"))?;
    Ok(Body::BeginMove(BeginMove {
        group: wish.group,
        epoch: info.epoch,
        remove: from.replica_id,
        to_node: wish.to_node.clone(),
        reason: "the operator asked".to_owned(),
    }))
}

fn find(map: &ClusterMap, group: u32) -> Result<&GroupInfo, Error> {
    let known = map.groups.iter().find(|info| info.group == group);
    known.ok_or_else(|| {
        refused(format!(
            "no such shard: there are {}, from 0, and the meta group {META_GROUP}",
            map.shard_count
        ))
    })
}

/// Refuses a recovery that the map must not believe.
fn check_survivor(info: &GroupInfo, seen: Option<&ObservedGroup>, survivor: u64) -> Result<(), &'static str> {
    let answers = |id: u64| seen.is_some_and(|group| group.replicas.contains_key(&id));
    let others =
        info.replicas.iter().filter(|it| it.replica_id != survivor && answers(it.replica_id)).count();
    if others * 2 > info.replicas.len() {
        return Err("a quorum of the shard's other replicas answers: nothing is lost");
    }
    let leader = seen.and_then(|group| group.leader.as_ref());
    let alone = leader.is_some_and(|it| it.replica == survivor && it.members.voters == [survivor]);
    if alone { Ok(()) } else { Err("the replica does not lead the shard alone yet; try again") }
}

fn refused(why: impl Into<String>) -> Error {
    Error::MetaRefused(why.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::{GroupStatus, Members, NodeStatusReply, ReplicaInfo};

    /// The group as these nodes report it; node and replica have the same number. `alone`: the one that leads alone.
    fn seen(answering: &[u64], alone: Option<u64>) -> Observed {
        let status = |id: &u64| NodeStatusReply {
            node_uuid: vec![*id as u8; 16].into(),
            groups: vec![GroupStatus {
                replica_id: *id,
                role: if alone == Some(*id) { "leader" } else { "follower" }.to_owned(),
                members: Some(Members { voters: vec![*id], ..Members::default() }),
                ..GroupStatus::default()
            }],
            ..NodeStatusReply::default()
        };
        let statuses: Vec<_> = answering.iter().map(status).collect();
        Observed::of(&statuses, &Observed::default())
    }

    #[test]
    fn a_survivor_is_believed_only_beside_no_living_majority() {
        let replicas =
            (1..=3).map(|replica_id| ReplicaInfo { replica_id, ..ReplicaInfo::default() }).collect();
        let info = GroupInfo { replicas, ..GroupInfo::default() };
        let check = |answering: &[u64], alone| {
            check_survivor(&info, seen(answering, alone).groups.get(&0), 1).is_ok()
        };
        assert!(check(&[1], Some(1)));
        assert!(check(&[1, 2], Some(1)), "one of three is no majority");
        assert!(!check(&[1, 2, 3], Some(1)), "it was cut off from the two");
        assert!(!check(&[1], None), "it does not lead yet");
        assert!(!check(&[2], Some(2)), "another one leads");
    }
}
