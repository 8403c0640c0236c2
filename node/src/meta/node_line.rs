//! A node's line in the map and in a command, and the command versions it tells.

use rowhouse_proto::VersionRange;
use rowhouse_proto::wire::command::MetaNode;
use rowhouse_proto::wire::meta::NodeInfo;

/// The command version that brought zones and moves of replicas.
pub const PLACEMENT_VERSION: u32 = 3;

/// The versions of commands that the node says it understands; both ends are 0 if it says nothing.
pub fn understood(node: &NodeInfo) -> VersionRange {
    VersionRange { min: node.command_version_min, max: node.command_version_max }
}

/// The version a cluster of these nodes begins with: the newest that all understand. `None` if there is none.
pub fn first_command_version(nodes: &[NodeInfo]) -> Option<u32> {
    let newest = nodes.iter().map(|node| understood(node).max).min()?;
    nodes.iter().all(|node| understood(node).contains(newest)).then_some(newest)
}

/// Why the node cannot be part of a cluster in which commands of version `in_force` are proposed.
pub(super) fn refused_by_version(node: &NodeInfo, in_force: u32) -> Option<String> {
    let understood = understood(node);
    (!understood.contains(in_force)).then(|| {
        format!(
            "node {} understands command version {understood}, but version {in_force} is in force: start a \
             program on it that understands that",
            node.name
        )
    })
}

/// A line of the map as a command of this version carries it.
pub fn to_command(node: NodeInfo, version: u32) -> MetaNode {
    let NodeInfo { node_uuid, address, name, command_version_min, command_version_max, .. } = node;
    let zone = if version < PLACEMENT_VERSION { String::new() } else { node.zone };
    MetaNode { node_uuid, address, name, command_version_min, command_version_max, zone }
}

/// A line of a command as the map keeps it. The cluster's own word about the node is not in it.
pub(super) fn of_command(node: MetaNode) -> NodeInfo {
    let MetaNode { node_uuid, address, name, command_version_min, command_version_max, zone } = node;
    NodeInfo { node_uuid, address, name, command_version_min, command_version_max, zone, life: None }
}

/// Whether the map's line says what the node tells of itself, as far as commands of this version can.
pub fn is_told(line: &NodeInfo, node: &NodeInfo, version: u32) -> bool {
    let told = |node: &NodeInfo| to_command(node.clone(), version);
    told(line) == told(node)
}
