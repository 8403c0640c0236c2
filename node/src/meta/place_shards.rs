//! Hands out replica ids from the counter and writes the shard map. Once.

use std::collections::BTreeSet;

use rowhouse_proto::META_GROUP;
use rowhouse_proto::wire::command::PlaceShards;
use rowhouse_proto::wire::meta::{GroupInfo, ReplicaInfo};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

/// Most replicas of a shard. Five survive two losses; more only cost.
pub(super) const REPLICAS_MAX: usize = 5;

impl MetaGroupCommand for PlaceShards {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        if tables::groups(&*txn)?.iter().any(|group| group.group != META_GROUP) {
            return Ok(Verdict::refused("shards are placed already"));
        }
        let groups: BTreeSet<u32> = self.placements.iter().map(|placement| placement.group).collect();
        let complete = self.placements.len() == cluster.shard_count as usize
            && groups.into_iter().eq(0..cluster.shard_count);
        if !complete {
            return Ok(Verdict::refused("a placement must name each shard once"));
        }
        for placement in &self.placements {
            let distinct: BTreeSet<_> = placement.node_uuids.iter().collect();
            if distinct.len() != placement.node_uuids.len()
                || distinct.is_empty()
                || distinct.len() > REPLICAS_MAX
            {
                return Ok(Verdict::refused("replicas of a shard must be 1 to 5 and on distinct nodes"));
            }
            for node_uuid in distinct {
                if tables::node(&*txn, node_uuid)?.is_none() {
                    return Ok(Verdict::refused("a placement names an unknown node"));
                }
            }
        }
        for placement in &self.placements {
            let replicas = placement
                .node_uuids
                .iter()
                .map(|node_uuid| {
                    let replica_id = cluster.next_replica_id;
                    cluster.next_replica_id += 1;
                    ReplicaInfo { replica_id, node_uuid: node_uuid.clone() }
                })
                .collect();
            tables::put_group(txn, &GroupInfo { group: placement.group, epoch: 1, replicas, moving: None });
        }
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Changed)
    }
}
