//! The operator's wish for a node: it shall stay, its replicas shall move elsewhere, or it does not come back.

use rowhouse_proto::wire::command::DirectNode;
use rowhouse_proto::wire::meta::NodeLife;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::mark_node::kept;
use super::{Verdict, tables};

impl MetaGroupCommand for DirectNode {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut node) = tables::node(&*txn, &self.node_uuid)? else {
            return Ok(Verdict::unknown_node());
        };
        let before = node.life.unwrap_or_default();
        let after = NodeLife { leaving: self.leaving, lost: self.lost, ..before };
        if before == after {
            return Ok(Verdict::Unchanged);
        }
        node.life = kept(after);
        tables::put_node(txn, &node);
        Ok(Verdict::Changed)
    }
}
