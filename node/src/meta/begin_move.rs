//! A replica shall take another's place on another node. Its id is handed out here, and never again.

use rowhouse_proto::wire::command::BeginMove;
use rowhouse_proto::wire::meta::{ReplicaInfo, ReplicaMove};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::place_shards::REPLICAS_MAX;
use super::{Verdict, tables};
use crate::planted;

/// A group is not made smaller than this: it survives one loss.
const REPLICAS_KEPT: usize = 3;
/// Longest reason in bytes; people read it in a table.
const REASON_BYTES_MAX: usize = 120;

impl MetaGroupCommand for BeginMove {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        let Some(mut group) = tables::group(&*txn, self.group)? else {
            return Ok(Verdict::refused("no such group"));
        };
        if group.epoch != self.epoch {
            return Ok(Verdict::refused("the group changed meanwhile"));
        }
        if group.moving.is_some() {
            return Ok(Verdict::refused("a replica of this group moves already"));
        }
        let removes = group.replicas.iter().any(|replica| replica.replica_id == self.remove);
        if self.remove != 0 && !removes {
            return Ok(Verdict::refused("the replica to replace is not one of the group"));
        }
        if self.remove == 0 && group.replicas.len() >= REPLICAS_MAX {
            return Ok(Verdict::refused("the group has as many replicas as it may"));
        }
        let mut moving = ReplicaMove {
            add: None,
            remove: self.remove,
            reason: self.reason[..self.reason.floor_char_boundary(REASON_BYTES_MAX)].to_owned(),
            began_ms: entry.now_ms,
        };
        if self.to_node.is_empty() {
            if self.remove == 0 || group.replicas.len() <= REPLICAS_KEPT {
                return Ok(Verdict::refused("the group has no replica to spare"));
            }
            group.moving = Some(moving);
            tables::put_group(txn, &group);
            return Ok(Verdict::Changed);
        }
        let Some(node) = tables::node(&*txn, &self.to_node)? else {
            return Ok(Verdict::unknown_node());
        };
        if node.life.is_some_and(|life| life.leaving || life.lost) {
            return Ok(Verdict::refused(format!("node {} takes no more replicas", node.name)));
        }
        if group.is_on(&self.to_node) {
            return Ok(Verdict::refused(format!("node {} has a replica of this group", node.name)));
        }
        let add = ReplicaInfo { replica_id: cluster.next_replica_id, node_uuid: self.to_node.clone() };
        if !planted::reuse_replica_id() {
            cluster.next_replica_id += 1;
        }
        moving.add = Some(add);
        group.moving = Some(moving);
        tables::put_group(txn, &group);
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Changed)
    }
}
