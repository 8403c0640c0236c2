//! The cluster map as others see it, built from the meta group's state.

use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::wire::meta::ClusterMap;
use rowhouse_raft::Error;

use super::tables;
use crate::state::Read;

/// The map's version; 0 before `Bootstrap`. One read: cheap enough to poll.
pub fn map_version(store: &dyn Read) -> Result<u64, Error> {
    Ok(tables::cluster(store)?.map_or(0, |cluster| cluster.map_version))
}

/// The version of commands in force; `None` before `Bootstrap`.
pub fn command_version(store: &dyn Read) -> Result<Option<u32>, Error> {
    Ok(tables::cluster(store)?.map(|cluster| cluster.command_version))
}

/// The whole map; `None` before `Bootstrap`. The view must be one snapshot.
pub fn cluster_map(store: &dyn Read) -> Result<Option<ClusterMap>, Error> {
    let Some(cluster) = tables::cluster(store)? else {
        return Ok(None);
    };
    Ok(Some(ClusterMap {
        version: WIRE_VERSION,
        map_version: cluster.map_version,
        cluster_id: cluster.cluster_id,
        shard_count: cluster.shard_count,
        nodes: tables::nodes(store)?,
        groups: tables::groups(store)?,
        settings: cluster.settings,
        homeserver: cluster.homeserver,
        packet: tables::packet(store)?.unwrap_or_default(),
        hlc: 0,
        gateways: tables::gateways(store)?,
        command_version: cluster.command_version,
        next_replica_id: cluster.next_replica_id,
        rebalance: cluster.rebalance,
        change: None,
    }))
}

/// Brings `known` up to date in one snapshot. The whole map is read only if its version is another one: with thousands
/// of shards that takes milliseconds.
pub fn refresh(store: &dyn Read, known: &mut Option<ClusterMap>) -> Result<(), Error> {
    if map_version(store)? != known.as_ref().map_or(0, |map| map.map_version) {
        *known = cluster_map(store)?;
    }
    Ok(())
}
