//! What became different between two versions of the cluster map: pure, for those who send maps and those who watch
//! them (docs/rules/consensus.md#the-map-is-sent-as-changes).

use std::cmp::Ordering;
use std::sync::Arc;

use crate::wire::meta::{ClusterMap, GroupInfo, MapChange, NodeInfo};

/// A change of another map than the one that is there: a message is missing between them. The watcher starts again
/// with a whole map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a change of map {base} does not fit map {known}")]
pub struct WrongBase {
    /// Version of the map that the change was made from.
    pub base: u64,
    /// Version of the map that was to be changed.
    pub known: u64,
}

/// A row of the map. Rows of one kind are in this order, and no two are equal in it.
trait Row: Clone + PartialEq {
    fn order(&self, other: &Self) -> Ordering;
}

impl Row for NodeInfo {
    fn order(&self, other: &Self) -> Ordering {
        self.node_uuid.cmp(&other.node_uuid)
    }
}

impl Row for GroupInfo {
    fn order(&self, other: &Self) -> Ordering {
        self.group.cmp(&other.group)
    }
}

/// The message that makes `new` of `old`. It is `new` as a whole where no change can: between clusters, back in time,
/// from an empty map, or if rows are out of order. Between equal versions it is a sign of life and holds no rows.
pub fn change(old: &ClusterMap, new: &ClusterMap) -> ClusterMap {
    if !can_change_into(old, new) {
        return new.clone();
    }
    let mut message = ClusterMap {
        version: new.version,
        map_version: new.map_version,
        hlc: new.hlc,
        command_version: new.command_version,
        next_replica_id: new.next_replica_id,
        rebalance: new.rebalance,
        ..ClusterMap::default()
    };
    let mut change = MapChange { base_version: old.map_version, ..MapChange::default() };
    if old.map_version < new.map_version {
        let gone = old.nodes.iter().filter(|node| find(&new.nodes, node).is_err());
        change.removed_nodes = gone.map(|node| node.node_uuid.clone()).collect();
        message.nodes = differing(&old.nodes, &new.nodes);
        message.groups = differing(&old.groups, &new.groups);
        if old.settings != new.settings {
            change.settings = true;
            message.settings.clone_from(&new.settings);
        }
        if old.packet != new.packet {
            change.packet = true;
            message.packet = new.packet.clone();
        }
        if old.gateways != new.gateways {
            change.gateways = true;
            message.gateways.clone_from(&new.gateways);
        }
    }
    message.change = Some(change);
    message
}

/// Makes `map` what the message says, a whole map or a change. After an error `map` is as before.
///
/// Others may go on holding the old map: it is copied only if they do and something differs. A sign of life leaves even
/// `hlc` alone, which is a matter of the message.
pub fn apply(map: &mut Arc<ClusterMap>, mut message: ClusterMap) -> Result<(), WrongBase> {
    let Some(change) = message.change.take() else {
        *map = Arc::new(message);
        return Ok(());
    };
    if change.base_version != map.map_version || change.base_version == 0 {
        return Err(WrongBase { base: change.base_version, known: map.map_version });
    }
    if message.map_version == map.map_version {
        return Ok(());
    }
    let map = Arc::make_mut(map);
    map.version = message.version;
    map.map_version = message.map_version;
    map.hlc = message.hlc;
    map.command_version = message.command_version;
    map.next_replica_id = message.next_replica_id;
    map.rebalance = message.rebalance;
    map.nodes.retain(|node| !change.removed_nodes.contains(&node.node_uuid));
    merge(&mut map.nodes, message.nodes);
    merge(&mut map.groups, message.groups);
    if change.settings {
        map.settings = message.settings;
    }
    if change.packet {
        map.packet = message.packet;
    }
    if change.gateways {
        map.gateways = message.gateways;
    }
    Ok(())
}

/// Groups are never removed, so a message has no words for it.
fn can_change_into(old: &ClusterMap, new: &ClusterMap) -> bool {
    old.map_version > 0
        && old.map_version <= new.map_version
        && old.cluster_id == new.cluster_id
        && old.shard_count == new.shard_count
        && old.homeserver == new.homeserver
        && [old, new].iter().all(|map| is_ordered(&map.nodes) && is_ordered(&map.groups))
        && old.groups.iter().all(|group| find(&new.groups, group).is_ok())
}

fn is_ordered<T: Row>(rows: &[T]) -> bool {
    rows.is_sorted_by(|row, next| row.order(next).is_lt())
}

/// Where the row with the key of `like` is, or would be.
fn find<T: Row>(rows: &[T], like: &T) -> Result<usize, usize> {
    rows.binary_search_by(|row| row.order(like))
}

fn differing<T: Row>(old: &[T], new: &[T]) -> Vec<T> {
    let is_known = |row: &&T| find(old, row).is_ok_and(|at| old[at] == **row);
    new.iter().filter(|row| !is_known(row)).cloned().collect()
}

fn merge<T: Row>(rows: &mut Vec<T>, changed: Vec<T>) {
    for row in changed {
        match find(rows, &row) {
            Ok(at) => rows[at] = row,
            Err(at) => rows.insert(at, row),
        }
    }
}

#[cfg(test)]
mod tests;
