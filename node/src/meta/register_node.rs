//! A node joins, or returns under another address or with another program. A node that proves its name keeps it for
//! life, because others believe its certificate by that name.

use rowhouse_proto::wire::command::RegisterNode;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::node_line::{of_command, refused_by_version};
use super::{Verdict, tables};

/// Most nodes of a cluster. Every gateway and node holds the whole list; docs/rules/consensus.md#shards-are-fixed
/// plans for 100.
const NODES_MAX: usize = 1024;
/// Longest address in bytes: a host name and a port.
const ADDRESS_BYTES_MAX: usize = 260;
/// Longest name in bytes. Names are for people, and longer ones break tables.
const NAME_BYTES_MAX: usize = 63;

impl MetaGroupCommand for RegisterNode {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(node) = &self.node else {
            return Ok(Verdict::refused("no node given"));
        };
        let Some(cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        let malformed = node.node_uuid.len() != 16
            || node.address.is_empty()
            || node.address.len() > ADDRESS_BYTES_MAX
            || node.name.len() > NAME_BYTES_MAX
            || node.zone.len() > NAME_BYTES_MAX;
        if malformed {
            return Ok(Verdict::refused("malformed node"));
        }
        if tables::was_removed(&*txn, &node.node_uuid)? {
            return Ok(Verdict::refused(
                "this node was removed from the cluster: start it with an empty data folder to join as a new one",
            ));
        }
        let mut info = of_command(node.clone());
        if let Some(refused) = refused_by_version(&info, cluster.command_version) {
            return Ok(Verdict::refused(refused));
        }
        let known = tables::node(&*txn, &info.node_uuid)?;
        info.life = known.as_ref().and_then(|known| known.life);
        match known {
            Some(known) if known == info => return Ok(Verdict::Unchanged),
            Some(known) if self.name_proven && known.name != info.name => {
                return Ok(Verdict::refused(format!("this node is {}, not {}", known.name, info.name)));
            }
            Some(_) => {}
            None if tables::nodes(&*txn)?.len() >= NODES_MAX => {
                return Ok(Verdict::refused("too many nodes"));
            }
            None => {}
        }
        tables::put_node(txn, &info);
        Ok(Verdict::Changed)
    }
}
