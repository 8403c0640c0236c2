//! Questions to shards: what is at a place, who is there, what is below.

use bytes::Bytes;
use pubky_common::crypto::PublicKey;
use pubky_common::storage_path::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::{Account, Entry, FindMember, GetUser, query_reply, query_request};

use crate::app::App;
use crate::cluster::Call;
use crate::respond::Rejection;

/// What is at a path.
pub enum Member {
    /// Without its body.
    File(Entry),
    Collection,
}

impl Member {
    /// The file that is there, if it is one.
    pub fn file(&self) -> Option<&Entry> {
        match self {
            Self::File(entry) => Some(entry),
            Self::Collection => None,
        }
    }
}

/// What is at a path; `None` for nothing, or for an unknown user.
pub async fn find(
    app: &App,
    call: &Call,
    user: &PublicKey,
    path: &StoragePath,
) -> Result<Option<Member>, Rejection> {
    let op = FindMember { tenant: tenant(user), path: path.as_str().to_owned() };
    let shard = app.cluster.shard_of_user(user).await?;
    match app.cluster.query(call, shard, query_request::Op::FindMember(op)).await {
        Ok(query_reply::Result::Member(member)) => {
            Ok(Some(member.entry.map_or(Member::Collection, Member::File)))
        }
        Ok(_) => Err(ErrorCode::Internal.into()),
        Err(refused) if refused.code() == ErrorCode::NotFound => Ok(None),
        Err(refused) => Err(refused),
    }
}

/// A user's account; `NotFound` for who has none.
pub async fn account(app: &App, call: &Call, user: &PublicKey) -> Result<Account, Rejection> {
    let shard = app.cluster.shard_of_user(user).await?;
    let op = query_request::Op::GetUser(GetUser { tenant: tenant(user) });
    match app.cluster.query(call, shard, op).await? {
        query_reply::Result::Account(account) => Ok(account),
        _ => Err(ErrorCode::Internal.into()),
    }
}

/// The user's 32 bytes as they stand in commands and queries.
pub fn tenant(user: &PublicKey) -> Bytes {
    Bytes::copy_from_slice(user.as_bytes())
}
