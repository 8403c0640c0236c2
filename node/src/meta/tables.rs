//! Keys and records of the meta group's state.

use std::ops::ControlFlow;

use bytes::Bytes;
use prost::Message;
use rowhouse_proto::wire::meta::{ClusterRecord, GatewayInfo, GroupInfo, NodeInfo};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::gateway::identity;
use crate::state::Read;
use crate::state::read::{decode, encode, load, unwrap_raw, wrap_raw};

const CLUSTER: &[u8] = &[1];
const NODE: u8 = 2;
const GROUP: u8 = 3;
const PACKET: &[u8] = &[4];
const GATEWAY: u8 = 5;
const REMOVED: u8 = 6;
// 7 to 10 are in `token_rows`, 11 and 12 in `append_audit`.
/// Above every text in a key: text has no such byte.
pub(super) const AFTER_TEXT: &[u8] = &[0xFF];

fn list<T: Message + Default>(store: &dyn Read, what: &'static str, table: u8) -> Result<Vec<T>, Error> {
    page(store, what, &[table], &[table + 1], usize::MAX)
}

/// At most `limit` records `from <= key < to`, in order.
pub(super) fn page<T: Message + Default>(
    store: &dyn Read,
    what: &'static str,
    from: &[u8],
    to: &[u8],
    limit: usize,
) -> Result<Vec<T>, Error> {
    let mut records = Vec::new();
    let mut failure = None;
    store.scan(from, to, &mut |_, value| {
        if records.len() == limit {
            return ControlFlow::Break(());
        }
        match decode(value, what) {
            Ok(record) => {
                records.push(record);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failure.map_or(Ok(records), Err)
}

pub(super) fn key(table: u8, rest: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + rest.len());
    key.push(table);
    key.extend_from_slice(rest);
    key
}

/// The cluster's own record; `None` before `Bootstrap`.
pub fn cluster(store: &dyn Read) -> Result<Option<ClusterRecord>, Error> {
    load(store, CLUSTER, "cluster record")
}

/// Stores the cluster's own record.
pub fn put_cluster(txn: &mut Txn<'_>, record: &ClusterRecord) {
    txn.put(CLUSTER, encode(record));
}

/// The node with this uuid.
pub fn node(store: &dyn Read, node_uuid: &[u8]) -> Result<Option<NodeInfo>, Error> {
    load(store, &key(NODE, node_uuid), "node record")
}

/// All nodes in order of their uuids, which is the order of their first starts.
pub fn nodes(store: &dyn Read) -> Result<Vec<NodeInfo>, Error> {
    list(store, "node record", NODE)
}

/// Stores a node under its uuid.
pub fn put_node(txn: &mut Txn<'_>, node: &NodeInfo) {
    txn.put(key(NODE, &node.node_uuid), encode(node));
}

/// Takes a node out, and remembers its uuid.
pub fn remove_node(txn: &mut Txn<'_>, node_uuid: &[u8]) {
    txn.delete(key(NODE, node_uuid));
    txn.put(key(REMOVED, node_uuid), wrap_raw(&[]));
}

/// Whether a node of this uuid was taken out.
pub fn was_removed(store: &dyn Read, node_uuid: &[u8]) -> Result<bool, Error> {
    Ok(store.get(&key(REMOVED, node_uuid))?.is_some())
}

/// The group of this number.
pub fn group(store: &dyn Read, group: u32) -> Result<Option<GroupInfo>, Error> {
    load(store, &key(GROUP, &group.to_be_bytes()), "group record")
}

/// All groups in order of their numbers; the meta group comes last.
pub fn groups(store: &dyn Read) -> Result<Vec<GroupInfo>, Error> {
    list(store, "group record", GROUP)
}

/// Stores a group under its number.
pub fn put_group(txn: &mut Txn<'_>, group: &GroupInfo) {
    txn.put(key(GROUP, &group.group.to_be_bytes()), encode(group));
}

/// The committed packet of the homeserver.
pub fn packet(store: &dyn Read) -> Result<Option<Bytes>, Error> {
    store.get(PACKET)?.map(|value| unwrap_raw(&value, "packet")).transpose()
}

/// Stores the committed packet.
pub fn put_packet(txn: &mut Txn<'_>, packet: Bytes) {
    txn.put(PACKET, wrap_raw(&packet));
}

/// All gateways in order of their identities.
pub fn gateways(store: &dyn Read) -> Result<Vec<GatewayInfo>, Error> {
    list(store, "gateway record", GATEWAY)
}

/// Whether a gateway of this identity is known.
pub fn has_gateway(store: &dyn Read, gateway: &GatewayInfo) -> Result<bool, Error> {
    Ok(store.get(&key(GATEWAY, &identity(gateway)))?.is_some())
}

/// Stores a gateway under its identity.
pub fn put_gateway(txn: &mut Txn<'_>, gateway: &GatewayInfo) {
    txn.put(key(GATEWAY, &identity(gateway)), encode(gateway));
}

/// Deletes the gateway of this identity.
pub fn delete_gateway(txn: &mut Txn<'_>, gateway: &GatewayInfo) {
    txn.delete(key(GATEWAY, &identity(gateway)));
}
