//! Raises the version that commands are proposed under, once every node of the map understands it. It never falls.

use rowhouse_proto::wire::command::RaiseCommandVersion;
use rowhouse_proto::wire::meta::{ClusterMap, NodeInfo};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::node_line::{refused_by_version, understood};
use super::{Verdict, tables};

impl MetaGroupCommand for RaiseCommandVersion {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        let to = self.to;
        if to == cluster.command_version {
            return Ok(Verdict::Unchanged);
        }
        if to < cluster.command_version {
            return Ok(Verdict::refused(format!(
                "command version {} is in force, and never falls to {to}",
                cluster.command_version
            )));
        }
        let nodes = tables::nodes(&*txn)?;
        if let Some(refused) = nodes.iter().find_map(|node| refused_by_version(node, to)) {
            return Ok(Verdict::refused(refused));
        }
        cluster.command_version = to;
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Changed)
    }
}

/// The newest version that every node of the map understands, if it is above the one in force.
pub fn raisable(map: &ClusterMap) -> Option<u32> {
    let newest = map.nodes.iter().map(|node| understood(node).max).min()?;
    let all = |node: &NodeInfo| understood(node).contains(newest);
    (newest > map.command_version && map.nodes.iter().all(all)).then_some(newest)
}
