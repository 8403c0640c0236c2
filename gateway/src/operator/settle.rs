//! Signups that broke off leave their token kept for a user. Before tokens are counted or listed, what became of those
//! is found out, so that used and unused are exact (docs/rules/consensus.md#a-signup-token-is-spent-once).

use futures::stream::{self, StreamExt, TryStreamExt};
use rowhouse_proto::wire::meta::HeldToken;
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;
use crate::signup::settle;

/// Tokens looked after at once.
const CONCURRENCY: usize = 16;

impl Operator {
    /// Settles those whose user exists, and those that were given up. Whether any was.
    ///
    /// A signup that is under way keeps its token: its user does not exist yet, so that the token is unused.
    pub(super) async fn settle_ended(&self, held: Vec<HeldToken>) -> Result<bool, Refusal> {
        stream::iter(held)
            .map(|held| self.settle_if_ended(held))
            .buffer_unordered(CONCURRENCY)
            .try_fold(false, |any, settled| async move { Ok(any || settled) })
            .await
    }

    async fn settle_if_ended(&self, held: HeldToken) -> Result<bool, Refusal> {
        let given_up = u128::from(held.age_ms) >= self.reservation.as_millis();
        if !given_up && !self.exists(&held.user).await? {
            return Ok(false);
        }
        settle(&self.cluster, &self.call, held).await?;
        Ok(true)
    }

    async fn exists(&self, user: &[u8]) -> Result<bool, Refusal> {
        match self.account(user).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.code == ErrorCode::NotFound => Ok(false),
            Err(refusal) => Err(refusal),
        }
    }
}
