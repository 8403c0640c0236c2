//! Users' packets as their shards keep them: of one user, and of those who left.

use pubky_common::crypto::PublicKey;
use rowhouse_proto::wire::shard::{GetPacket, LeftUser, ListLeft, UserPacket, query_reply, query_request};
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;

/// Shards answer no more at once.
const SHARE_MAX: u32 = 1000;

/// A page of users who left, in the order of shards and then of keys.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftUsers {
    /// At most as many as were asked for.
    pub users: Vec<LeftUser>,
    /// Whether there are more; the cursor of the next page is the last user of this one.
    pub more: bool,
}

impl Operator {
    /// What is known of one user's packet. Refused as `NotFound` for one that does not exist.
    pub async fn packet(&self, user: &PublicKey) -> Result<UserPacket, Refusal> {
        let shard = self.shard_of(user.as_bytes()).await?;
        let op = query_request::Op::GetPacket(GetPacket { tenant: user.as_bytes().to_vec().into() });
        match self.query(shard, op).await? {
            query_reply::Result::UserPacket(packet) => Ok(packet),
            _ => Err(ErrorCode::Internal.into()),
        }
    }

    /// Users whose newest packet names another homeserver, or none: at most `limit`, after one of them.
    pub async fn left(&self, limit: usize, after: Option<&PublicKey>) -> Result<LeftUsers, Refusal> {
        let shards = self.cluster.map().await?.shard_count();
        let first = match after {
            Some(user) => self.shard_of(user.as_bytes()).await?,
            None => 0,
        };
        let mut page = LeftUsers::default();
        // One more than the page holds, to know whether there are more.
        let wanted = limit.saturating_add(1);
        for shard in first..shards {
            let mut behind = after.filter(|_| shard == first).map(|user| user.as_bytes().to_vec());
            while page.users.len() < wanted {
                let share = u32::try_from(wanted - page.users.len()).unwrap_or(SHARE_MAX).min(SHARE_MAX);
                let after = behind.take().unwrap_or_default().into();
                let found = match self
                    .query(shard, query_request::Op::ListLeft(ListLeft { after, limit: share }))
                    .await?
                {
                    query_reply::Result::LeftPage(found) => found.users,
                    _ => return Err(ErrorCode::Internal.into()),
                };
                let is_last = found.len() < share as usize;
                behind = found.last().map(|last| last.user.to_vec());
                page.users.extend(found);
                if is_last {
                    break;
                }
            }
        }
        page.more = page.users.len() == wanted;
        page.users.truncate(limit);
        Ok(page)
    }
}
