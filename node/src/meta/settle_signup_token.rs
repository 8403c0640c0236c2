//! The end of a reservation: its user exists, and the token is used, or will never exist by it, and the token is free.
//! Only the user's shard knows which (`SettleSignup`).

use rowhouse_proto::wire::command::SettleSignupToken;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables, token_rows};

impl MetaGroupCommand for SettleSignupToken {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else { return Ok(Verdict::not_initialized()) };
        let Some(mut row) = token_rows::token(&*txn, &self.token)? else {
            return Ok(Verdict::refused("no such signup token"));
        };
        if row.reserved_by.is_empty() || row.reservation != self.number {
            // Settled before, perhaps by another gateway.
            return Ok(Verdict::Unchanged);
        }
        let user = std::mem::take(&mut row.reserved_by);
        if self.spent {
            row.used_by = user;
            row.used_at_ms = entry.now_ms;
            cluster.spent_signup_tokens += 1;
            tables::put_cluster(txn, &cluster);
        }
        token_rows::put(txn, &row);
        Ok(Verdict::Stored)
    }
}
