//! How much there is of everything.

use futures::future::try_join;
use futures::stream::{self, StreamExt, TryStreamExt};
use rowhouse_proto::wire::shard::{ShardStats, Stats, query_reply, query_request};
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;

/// Shards asked at once: enough to be quick with 4 096, few enough to leave requests their place.
const CONCURRENCY: usize = 16;
/// The meta group tells of 64 broken signups at once: so many rounds are for a thousand.
const ROUNDS_MAX: usize = 16;

/// Exact at the moment at which each group was asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Users, disabled ones too.
    pub users: u64,
    /// Disabled users.
    pub disabled_users: u64,
    /// Bytes of all users, as quotas count.
    pub used_bytes: u64,
    /// Signup tokens, used ones too.
    pub tokens: u64,
    /// Signup tokens that nobody has signed up with.
    pub unused_tokens: u64,
}

impl Operator {
    /// The totals of all groups. Fails when any does not answer.
    pub async fn totals(&self) -> Result<Totals, Refusal> {
        let ((tokens, unused_tokens), stats) = try_join(self.token_totals(), self.stats()).await?;
        Ok(Totals {
            users: stats.users,
            disabled_users: stats.disabled_users,
            used_bytes: stats.used_bytes,
            tokens,
            unused_tokens,
        })
    }

    /// All tokens, and those that are unused.
    async fn token_totals(&self) -> Result<(u64, u64), Refusal> {
        let mut found = self.account_settings().await?;
        for _ in 0..ROUNDS_MAX {
            if !self.settle_ended(found.held).await? {
                break;
            }
            found = self.account_settings().await?;
        }
        Ok((found.signup_tokens, found.signup_tokens.saturating_sub(found.spent_signup_tokens)))
    }

    async fn stats(&self) -> Result<Stats, Refusal> {
        let shards = self.cluster.map().await?.shard_count();
        stream::iter(0..shards)
            .map(|shard| self.shard_stats(shard))
            .buffer_unordered(CONCURRENCY)
            .try_fold(Stats::default(), |total, stats| async move { Ok(sum(total, stats)) })
            .await
    }

    async fn shard_stats(&self, shard: u32) -> Result<Stats, Refusal> {
        match self.query(shard, query_request::Op::ShardStats(ShardStats {})).await? {
            query_reply::Result::Stats(stats) => Ok(stats),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}

fn sum(a: Stats, b: Stats) -> Stats {
    Stats {
        users: a.users.saturating_add(b.users),
        disabled_users: a.disabled_users.saturating_add(b.disabled_users),
        used_bytes: a.used_bytes.saturating_add(b.used_bytes),
    }
}
