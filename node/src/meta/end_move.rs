//! A move is over: the group's members are as it wanted them, or as they were before it.
//!
//! The coordinator proposes it only after it has seen the group's committed members. From here on nodes erase what the
//! map does not give them.

use rowhouse_proto::wire::command::EndMove;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for EndMove {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut group) = tables::group(&*txn, self.group)? else {
            return Ok(Verdict::refused("no such group"));
        };
        let Some(moving) = group.moving.take() else {
            return Ok(Verdict::Unchanged);
        };
        if moving.add.as_ref().map_or(0, |add| add.replica_id) != self.add {
            return Ok(Verdict::refused("another move of this group is under way"));
        }
        if self.done {
            group.replicas.retain(|replica| replica.replica_id != moving.remove);
            group.replicas.extend(moving.add);
        }
        group.epoch += 1;
        tables::put_group(txn, &group);
        Ok(Verdict::Changed)
    }
}
