//! The operator wants replicas spread evenly now; the coordinator ends it when they are.

use rowhouse_proto::wire::command::Rebalance;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for Rebalance {
    fn apply(&self, txn: &mut Txn<'_>, _: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else {
            return Ok(Verdict::not_initialized());
        };
        if cluster.rebalance == self.on {
            return Ok(Verdict::Unchanged);
        }
        cluster.rebalance = self.on;
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Changed)
    }
}
