//! Maps of clusters that tests make up.

use std::net::SocketAddr;

use pubky_common::crypto::Keypair;
use rowhouse_peer::Dialer;
use rowhouse_proto::wire::meta::{ClusterMap, GroupInfo, NodeInfo, ReplicaInfo, Settings};
use rowhouse_proto::{META_GROUP, WIRE_VERSION};

use super::SECRET;
use super::node::{CLUSTER_ID, HLC_US};
use crate::cluster::Map;

/// Every address holds every shard; node uuids are the index plus one, sixteen times.
pub fn map_of(map_version: u64, shard_count: u32, addresses: &[SocketAddr], signup_mode: &str) -> ClusterMap {
    let uuid = |index: usize| vec![u8::try_from(index + 1).expect("few nodes"); 16];
    let replicas: Vec<ReplicaInfo> = (0..addresses.len())
        .map(|index| ReplicaInfo { replica_id: index as u64 + 1, node_uuid: uuid(index).into() })
        .collect();
    let groups = (0..shard_count)
        .chain([META_GROUP])
        .map(|group| GroupInfo { group, epoch: 1, replicas: replicas.clone(), moving: None })
        .collect();
    let nodes = addresses
        .iter()
        .enumerate()
        .map(|(index, address)| NodeInfo {
            node_uuid: uuid(index).into(),
            address: address.to_string(),
            name: format!("n{}", index + 1),
            ..NodeInfo::default()
        })
        .collect();
    ClusterMap {
        version: WIRE_VERSION,
        map_version,
        cluster_id: CLUSTER_ID.to_vec().into(),
        shard_count,
        nodes,
        groups,
        settings: Some(Settings { signup_mode: signup_mode.into(), defaults: None }),
        hlc: HLC_US,
        homeserver: Keypair::from_secret(&SECRET).public_key().as_bytes().to_vec().into(),
        ..ClusterMap::default()
    }
}

/// A map of one shard with this many replicas, and one more node without any. Nobody will connect to them; needs a
/// runtime.
pub fn routes_of(replicas: usize) -> Map {
    let addresses = vec![SocketAddr::from(([127, 0, 0, 1], 1)); replicas + 1];
    let mut wire = map_of(1, 1, &addresses, "open");
    for group in &mut wire.groups {
        group.replicas.truncate(replicas);
    }
    Map::build(&wire, None, &Dialer::plaintext()).expect("complete")
}
