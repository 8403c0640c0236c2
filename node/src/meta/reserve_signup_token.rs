//! Keeps an unused signup token for one user. Whoever proposed it reads the row afterwards: the reservation's number
//! and the token's quota stand there.

use rowhouse_proto::wire::command::ReserveSignupToken;
use rowhouse_proto::wire::meta::SignupToken;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables, token_rows};

impl MetaGroupCommand for ReserveSignupToken {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else { return Ok(Verdict::not_initialized()) };
        let Some(row) = token_rows::token(&*txn, &self.token)? else {
            return Ok(Verdict::refused("no such signup token"));
        };
        if self.user.len() != 32 {
            return Ok(Verdict::refused("a user is a key of 32 bytes"));
        }
        if !row.used_by.is_empty() {
            return Ok(Verdict::refused("the token is used"));
        }
        if row.reserved_by == self.user {
            return Ok(Verdict::Unchanged);
        }
        if !row.reserved_by.is_empty() {
            return Ok(Verdict::refused("the token is kept for another user"));
        }
        // From 1, so that a row without a reservation has none of these numbers.
        cluster.next_reservation += 1;
        let row = SignupToken {
            reserved_by: self.user.clone(),
            reservation: cluster.next_reservation,
            reserved_at_ms: entry.now_ms,
            ..row
        };
        token_rows::put(txn, &row);
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Stored)
    }
}
