//! Users: one, or a page of all shards' in one order.

use futures::stream::{self, StreamExt, TryStreamExt};
use pubky_common::crypto::PublicKey;
use rowhouse_proto::wire::shard::list_users::{Sort, State};
use rowhouse_proto::wire::shard::{Account, AccountPlace, GetUser, ListUsers, query_reply, query_request};
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;
use super::merge::{Merge, Next, Order};

/// Shards asked at once, as for totals.
const CONCURRENCY: usize = 16;
/// Fewest users asked of a shard: another question costs more than some users too many.
const SHARE_MIN: usize = 16;
/// z-base-32 characters of a key.
const KEY_CHARS: usize = 52;
/// Shards answer no more at once.
const SHARE_MAX: usize = 1000;

/// Which users are listed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserQuery {
    /// All, or only enabled or disabled ones.
    pub state: State,
    /// By signup, or by usage; ties by key.
    pub sort: Sort,
    /// Descending.
    pub reverse: bool,
    /// At most so many, from 1.
    pub limit: usize,
    /// Only those after this user, as it stands now.
    pub cursor: Option<PublicKey>,
}

/// A page of users.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UserPage {
    /// In the order that was asked for.
    pub accounts: Vec<Account>,
    /// Whether there are more; the cursor of the next page is the last user of this one.
    pub more: bool,
}

/// The key of a user, z-base-32 and nothing around it. Anything else is refused as `InvalidPublicKey`.
pub fn parse_user(text: &str) -> Result<PublicKey, Refusal> {
    let key = (text.len() == KEY_CHARS).then(|| PublicKey::try_from_z32(text).ok()).flatten();
    key.ok_or_else(|| ErrorCode::InvalidPublicKey.into())
}

impl Operator {
    /// One user. Refused as `NotFound` for one that does not exist.
    pub async fn user(&self, user: &PublicKey) -> Result<Account, Refusal> {
        self.account(user.as_bytes()).await
    }

    /// A page of users. Refused as `UnknownCursor` if the cursor's user does not exist.
    pub async fn users(&self, query: &UserQuery) -> Result<UserPage, Refusal> {
        let order = Order { sort: query.sort, reverse: query.reverse };
        let after = match &query.cursor {
            None => None,
            Some(user) => match self.user(user).await {
                Ok(account) => Some(order.place(&account)),
                Err(refusal) if refusal.code == ErrorCode::NotFound => {
                    return Err(ErrorCode::UnknownCursor.into());
                }
                Err(refusal) => return Err(refusal),
            },
        };
        let shards = self.cluster.map().await?.shard_count();
        // One more than the page holds, to know whether there are more.
        let wanted = query.limit.saturating_add(1);
        let share = (2 * wanted / shards.max(1) as usize).clamp(SHARE_MIN, SHARE_MAX);
        let pages: Vec<(u32, Vec<Account>)> = stream::iter(0..shards)
            .map(|shard| {
                let after = after.clone();
                async move { Ok::<_, Refusal>((shard, self.shard_page(query, shard, share, after).await?)) }
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        let mut merge = Merge::new(order, share);
        for (shard, accounts) in pages {
            merge.fill(shard, accounts);
        }
        let mut accounts = Vec::with_capacity(wanted.min(SHARE_MAX + 1));
        while accounts.len() < wanted {
            match merge.next() {
                Next::User(account) => accounts.push(account),
                Next::Refill { shard, after } => {
                    let more = self.shard_page(query, shard, share, Some(after)).await?;
                    merge.fill(shard, more);
                }
                Next::End => break,
            }
        }
        let more = accounts.len() == wanted;
        accounts.truncate(query.limit);
        Ok(UserPage { accounts, more })
    }

    /// The account of a user by its key.
    pub(super) async fn account(&self, user: &[u8]) -> Result<Account, Refusal> {
        let shard = self.shard_of(user).await?;
        match self.query(shard, query_request::Op::GetUser(GetUser { tenant: user.to_vec().into() })).await? {
            query_reply::Result::Account(account) => Ok(account),
            _ => Err(ErrorCode::Internal.into()),
        }
    }

    async fn shard_page(
        &self,
        query: &UserQuery,
        shard: u32,
        limit: usize,
        after: Option<AccountPlace>,
    ) -> Result<Vec<Account>, Refusal> {
        let op = query_request::Op::ListUsers(ListUsers {
            state: query.state.into(),
            sort: query.sort.into(),
            reverse: query.reverse,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
            after,
        });
        match self.query(shard, op).await? {
            query_reply::Result::AccountPage(page) => Ok(page.accounts),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_bare_key() {
        let key = pubky_common::crypto::Keypair::random().public_key();
        assert_eq!(parse_user(&key.z32()), Ok(key.clone()));
        let around = [format!("pubky{}", key.z32()), format!("_pubky.{}", key.z32())];
        for text in around.into_iter().chain([String::new(), "0".repeat(KEY_CHARS)]) {
            assert!(parse_user(&text).is_err(), "{text}");
        }
    }
}
