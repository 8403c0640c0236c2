//! A new signup token, with the quota of the user it will make.

use rowhouse_proto::domain::quota;
use rowhouse_proto::wire::command::CreateSignupToken;
use rowhouse_proto::wire::meta::SignupToken;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables, token_rows};

/// Most signup tokens of a cluster, used ones too: they tell who came by which.
pub const SIGNUP_TOKENS_MAX: u64 = 1 << 20;
/// Bytes of a token's text; gateways draw 14.
const TOKEN_BYTES_MAX: usize = 64;

impl MetaGroupCommand for CreateSignupToken {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else { return Ok(Verdict::not_initialized()) };
        if let Some(known) = token_rows::token(&*txn, &self.token)? {
            return Ok(if known.id == self.id {
                Verdict::Unchanged
            } else {
                Verdict::refused("the token exists already")
            });
        }
        let quota = self.quota.clone().unwrap_or_default();
        if let Err(why) = quota::check(&quota) {
            return Ok(Verdict::refused(why));
        }
        if self.token.is_empty() || self.token.len() > TOKEN_BYTES_MAX || self.id.len() != 16 {
            return Ok(Verdict::refused("a token has 1 to 64 bytes, and its request an id of 16"));
        }
        if cluster.signup_tokens >= SIGNUP_TOKENS_MAX {
            return Ok(Verdict::refused("the cluster has as many signup tokens as it may have"));
        }
        let row = SignupToken {
            token: self.token.clone(),
            id: self.id.clone(),
            created_at_ms: entry.now_ms,
            quota: Some(quota),
            ..SignupToken::default()
        };
        token_rows::put(txn, &row);
        cluster.signup_tokens += 1;
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Stored)
    }
}
