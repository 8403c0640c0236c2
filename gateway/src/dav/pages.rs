//! The resources of a PROPFIND, in pages: the one that is asked for, then its members.

use std::sync::Arc;

use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::shard::{
    Account, AccountPage, AccountPlace, Entry, ListCollection, ListUsers, MemberPage, query_reply,
    query_request,
};

use super::member::{Member, account, find, tenant};
use super::place::{PREFIX, Place, as_collection, href};
use super::properties::{Quota, Resource};
use super::transfer::as_file;
use crate::app::App;
use crate::cluster::Call;
use crate::respond::Rejection;

/// Members of one page: some hundred kilobytes of XML.
const PAGE: u32 = 500;
/// What every user has.
const ROOTS: [&str; 2] = ["/priv/", "/pub/"];

/// Resources that are still to be told.
pub struct Pages {
    app: Arc<App>,
    call: Call,
    /// The cluster's, for the quotas of users.
    defaults: UserQuota,
    target: Option<Resource>,
    members: Members,
}

enum Members {
    /// Users from this shard on, after this one.
    Users {
        shard: u32,
        after: Option<AccountPlace>,
    },
    /// `pub` and `priv`.
    Roots {
        user: PublicKey,
        quota: Option<Quota>,
    },
    /// Of a collection, after this name.
    Below {
        user: PublicKey,
        directory: String,
        after: String,
        quota: Option<Quota>,
    },
    None,
}

impl Pages {
    /// The resource at a place, and its members if `deep`. `NotFound` for nothing. Quotas cost a question, and are told
    /// of collections alone.
    pub async fn of(
        app: &Arc<App>,
        call: Call,
        place: Place,
        deep: bool,
        quotas: bool,
    ) -> Result<Self, Rejection> {
        let defaults = app.cluster.map().await?.defaults().clone();
        let (target, members) = match place {
            Place::Root => {
                let target =
                    Resource { href: format!("{PREFIX}/"), name: "dav".to_owned(), file: None, quota: None };
                (target, Members::Users { shard: 0, after: None })
            }
            Place::User(user) => {
                let quota = Some(Quota::of(&account(app, &call, &user).await?, &defaults));
                let target = collection(&user, "/", user.z32(), quota);
                (target, Members::Roots { user, quota })
            }
            Place::Member(user, path) => {
                let found = find(app, &call, &user, &path).await?.ok_or(ErrorCode::NotFound)?;
                match found {
                    Member::File(entry) => (file(&user, &as_file(&path)?, entry), Members::None),
                    Member::Collection => {
                        let quota = if quotas {
                            Some(Quota::of(&account(app, &call, &user).await?, &defaults))
                        } else {
                            None
                        };
                        let directory = as_collection(&path);
                        let target = collection(&user, &directory, last_name(&directory), quota);
                        (target, Members::Below { user, directory, after: String::new(), quota })
                    }
                }
            }
        };
        let members = if deep { members } else { Members::None };
        Ok(Self { app: Arc::clone(app), call, defaults, target: Some(target), members })
    }

    /// The gateway's state.
    pub fn app(&self) -> &App {
        &self.app
    }

    /// The next page, which is not empty; `None` after the last. The resource itself stands in the first.
    pub async fn next(&mut self) -> Result<Option<Vec<Resource>>, Rejection> {
        let target = self.target.take();
        let members = self.members().await?;
        Ok(match target {
            Some(target) => Some(std::iter::once(target).chain(members.into_iter().flatten()).collect()),
            None => members,
        })
    }

    async fn members(&mut self) -> Result<Option<Vec<Resource>>, Rejection> {
        // A client that reads slowly does not use up the time the cluster has.
        self.call = self.app.cluster.call_again(&self.call);
        match std::mem::replace(&mut self.members, Members::None) {
            Members::None => Ok(None),
            Members::Roots { user, quota } => {
                let roots = ROOTS.iter().map(|root| collection(&user, root, last_name(root), quota));
                Ok(Some(roots.collect()))
            }
            Members::Users { shard, after } => self.users(shard, after).await,
            Members::Below { user, directory, after, quota } => {
                self.below(user, directory, after, quota).await
            }
        }
    }

    async fn users(
        &mut self,
        first: u32,
        mut after: Option<AccountPlace>,
    ) -> Result<Option<Vec<Resource>>, Rejection> {
        // At most one round for each shard without users.
        for shard in first..self.app.cluster.map().await?.shard_count() {
            let op = ListUsers { limit: PAGE, after: after.take(), ..ListUsers::default() };
            let reply = self.app.cluster.query(&self.call, shard, query_request::Op::ListUsers(op)).await?;
            let query_reply::Result::AccountPage(AccountPage { accounts }) = reply else {
                return Err(ErrorCode::Internal.into());
            };
            let last = accounts
                .last()
                .map(|account| AccountPlace { value: account.created_at_ms, user: account.user.clone() });
            self.members = if accounts.len() < PAGE as usize {
                Members::Users { shard: shard + 1, after: None }
            } else {
                Members::Users { shard, after: last }
            };
            if !accounts.is_empty() {
                return accounts.iter().map(|account| self.user(account)).collect::<Result<_, _>>().map(Some);
            }
        }
        Ok(None)
    }

    fn user(&self, account: &Account) -> Result<Resource, Rejection> {
        let key: [u8; 32] = account.user[..].try_into().map_err(|_| ErrorCode::Internal)?;
        let user = PublicKey::from(pkarr::PublicKey::try_from(&key).map_err(|_| ErrorCode::Internal)?);
        Ok(collection(&user, "/", user.z32(), Some(Quota::of(account, &self.defaults))))
    }

    async fn below(
        &mut self,
        user: PublicKey,
        directory: String,
        after: String,
        quota: Option<Quota>,
    ) -> Result<Option<Vec<Resource>>, Rejection> {
        let op = ListCollection { tenant: tenant(&user), path: directory.clone(), after, limit: PAGE };
        let shard = self.app.cluster.shard_of_user(&user).await?;
        let asked = self.app.cluster.query(&self.call, shard, query_request::Op::ListCollection(op)).await;
        let MemberPage { members } = match asked {
            Ok(query_reply::Result::MemberPage(page)) => page,
            Ok(_) => return Err(ErrorCode::Internal.into()),
            // Its last member went meanwhile.
            Err(refused) if refused.code() == ErrorCode::NotFound => return Ok(None),
            Err(refused) => return Err(refused),
        };
        let Some(last) = members.last() else { return Ok(None) };
        if members.len() == PAGE as usize {
            let after = last.name.clone();
            self.members = Members::Below { user: user.clone(), directory: directory.clone(), after, quota };
        }
        let resource = |member: rowhouse_proto::wire::shard::Member| Resource {
            href: href(&user, &format!("{directory}{}", member.name)),
            name: member.name.trim_end_matches('/').to_owned(),
            quota: quota.filter(|_| member.entry.is_none()),
            file: member.entry,
        };
        Ok(Some(members.into_iter().map(resource).collect()))
    }
}

fn collection(user: &PublicKey, path: &str, name: String, quota: Option<Quota>) -> Resource {
    Resource { href: href(user, path), name, file: None, quota }
}

fn file(user: &PublicKey, path: &StoragePath, entry: Entry) -> Resource {
    let path = path.as_str();
    Resource { href: href(user, path), name: last_name(path), file: Some(entry), quota: None }
}

fn last_name(path: &str) -> String {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned()
}
