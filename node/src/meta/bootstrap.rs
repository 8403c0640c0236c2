//! The cluster's beginning, once: identity, settings, first nodes, the meta group itself. The version that this first
//! command was proposed under comes into force.

use rowhouse_proto::META_GROUP;
use rowhouse_proto::domain::slot::SHARD_COUNT_MAX;
use rowhouse_proto::wire::command::Bootstrap;
use rowhouse_proto::wire::meta::{ClusterRecord, GroupInfo, ReplicaInfo, Settings};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::node_line::{of_command, refused_by_version};
use super::{Verdict, tables};
use crate::apply::ACCOUNTS_SINCE;

/// The signup mode in which everybody may sign up.
pub const OPEN_SIGNUP: &str = "open";
/// The signup modes there are; in the other one every signup spends a token.
pub const SIGNUP_MODES: [&str; 2] = [OPEN_SIGNUP, "token_required"];

impl MetaGroupCommand for Bootstrap {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        if let Some(cluster) = tables::cluster(&*txn)? {
            return Ok(if cluster.cluster_id == self.cluster_id {
                Verdict::Unchanged
            } else {
                Verdict::refused("another cluster lives here")
            });
        }
        if let Some(why) = invalid(self, entry.version) {
            return Ok(Verdict::refused(why));
        }
        let nodes: Vec<_> = self.nodes.iter().cloned().map(of_command).collect();
        if let Some(refused) = nodes.iter().find_map(|node| refused_by_version(node, entry.version)) {
            return Ok(Verdict::refused(refused));
        }
        let mut replicas = Vec::with_capacity(nodes.len());
        for (node, replica_id) in nodes.into_iter().zip(1u64..) {
            tables::put_node(txn, &node);
            replicas.push(ReplicaInfo { replica_id, node_uuid: node.node_uuid });
        }
        let next_replica_id = replicas.len() as u64 + 1;
        tables::put_group(txn, &GroupInfo { group: META_GROUP, epoch: 1, replicas, moving: None });
        tables::put_cluster(
            txn,
            &ClusterRecord {
                cluster_id: self.cluster_id.clone(),
                shard_count: self.shard_count,
                settings: Some(Settings { signup_mode: self.signup_mode.clone(), defaults: None }),
                homeserver: self.homeserver.clone(),
                map_version: 0,
                next_replica_id,
                command_version: entry.version,
                ..ClusterRecord::default()
            },
        );
        Ok(Verdict::Changed)
    }
}

fn invalid(command: &Bootstrap, version: u32) -> Option<&'static str> {
    if command.cluster_id.len() != 16 {
        return Some("cluster id must be 16 bytes");
    }
    if !command.shard_count.is_power_of_two() || command.shard_count > SHARD_COUNT_MAX {
        return Some("shard count must be a power of two up to 4096");
    }
    if command.homeserver.len() != 32 {
        return Some("homeserver key must be 32 bytes");
    }
    if command.nodes.is_empty() || command.nodes.iter().any(|node| node.node_uuid.len() != 16) {
        return Some("nodes must be named by 16 bytes each");
    }
    check_signup_mode(&command.signup_mode, version).err()
}

/// Refuses what is no signup mode under this command version. Older ones have no tokens.
pub fn check_signup_mode(signup_mode: &str, version: u32) -> Result<(), &'static str> {
    if version < ACCOUNTS_SINCE && signup_mode != OPEN_SIGNUP {
        return Err("there are no signup tokens yet: the signup mode must be `open`");
    }
    let is_known = SIGNUP_MODES.contains(&signup_mode);
    if is_known { Ok(()) } else { Err("the signup mode must be `open` or `token_required`") }
}
