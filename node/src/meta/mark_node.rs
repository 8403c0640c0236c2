//! The coordinator has not heard of a node for a while, or hears of it again. The time of it is kept in the log, so that
//! a new coordinator goes on counting where the old one was.

use rowhouse_proto::wire::command::MarkNode;
use rowhouse_proto::wire::meta::NodeLife;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for MarkNode {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut node) = tables::node(&*txn, &self.node_uuid)? else {
            return Ok(Verdict::unknown_node());
        };
        let life = node.life.unwrap_or_default();
        let was_away = life.away_since_ms != 0;
        if was_away == self.away {
            return Ok(Verdict::Unchanged);
        }
        let away_since_ms = if self.away { entry.now_ms.max(1) } else { 0 };
        node.life = kept(NodeLife { away_since_ms, ..life });
        tables::put_node(txn, &node);
        Ok(Verdict::Changed)
    }
}

/// A life that says nothing is absent: there is one way to say so.
pub(super) fn kept(life: NodeLife) -> Option<NodeLife> {
    (life != NodeLife::default()).then_some(life)
}
