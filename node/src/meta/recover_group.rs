//! A group that had lost its majority goes on with one replica. It gets others again as any group that has too few.

use rowhouse_proto::wire::command::RecoverGroup;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for RecoverGroup {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut group) = tables::group(&*txn, self.group)? else {
            return Ok(Verdict::refused("no such group"));
        };
        let Some(survivor) = group.places().find(|it| it.replica_id == self.replica).cloned() else {
            return Ok(Verdict::refused("the replica is not one of the group"));
        };
        if group.replicas == [survivor.clone()] && group.moving.is_none() {
            return Ok(Verdict::Unchanged);
        }
        group.replicas = vec![survivor];
        group.moving = None;
        group.epoch += 1;
        tables::put_group(txn, &group);
        Ok(Verdict::Changed)
    }
}
