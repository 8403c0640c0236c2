//! Signups that broke off leave their token kept for a user. Before tokens are counted or listed, what became of those
//! is found out, so that used and unused are exact (docs/rules/consensus.md#a-signup-token-is-spent-once).

use futures::stream::{self, StreamExt, TryStreamExt};
use rowhouse_proto::Refusal;
use rowhouse_proto::wire::meta::HeldToken;

use super::Operator;
use crate::signup::settle_if_over;

/// Tokens looked after at once.
const CONCURRENCY: usize = 16;

impl Operator {
    /// Settles those whose user exists, and those that were given up. Whether any was.
    ///
    /// A signup that is under way keeps its token: its user does not exist yet, so that the token is unused.
    pub(super) async fn settle_ended(&self, held: Vec<HeldToken>) -> Result<bool, Refusal> {
        stream::iter(held)
            .map(|held| settle_if_over(&self.cluster, self.reservation, &self.call, held))
            .buffer_unordered(CONCURRENCY)
            .try_fold(false, |any, settled| async move { Ok(any || settled) })
            .await
            .map_err(Refusal::from)
    }
}
