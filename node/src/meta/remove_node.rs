//! A node that holds nothing leaves the map for good. Its uuid is remembered: a folder that comes back must not join as
//! if nothing had happened.

use rowhouse_proto::wire::command::RemoveNode;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for RemoveNode {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        if tables::was_removed(&*txn, &self.node_uuid)? {
            return Ok(Verdict::Unchanged);
        }
        let Some(node) = tables::node(&*txn, &self.node_uuid)? else {
            return Ok(Verdict::unknown_node());
        };
        let held = tables::groups(&*txn)?.iter().filter(|group| group.is_on(&self.node_uuid)).count();
        if held > 0 {
            return Ok(Verdict::refused(format!(
                "node {} still has a place in {held} groups: drain it first, or if it is lost say so with \
                 `rowhouse ctl node replace`",
                node.name
            )));
        }
        tables::remove_node(txn, &self.node_uuid);
        Ok(Verdict::Changed)
    }
}
