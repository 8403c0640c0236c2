//! The orders in which operators list users: by time of signup and by usage, and which are disabled. Kept from command
//! version 4 on; the first command of that version in a shard builds them for the users there are.

use std::ops::ControlFlow;

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Shard, Usage, User};
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use crate::state::{Read, records, tables};

/// Builds the indexes, unless this shard has them.
pub(super) fn build_once(txn: &mut Txn<'_>, shard: &mut Shard) -> Result<(), Error> {
    if shard.users_indexed {
        return Ok(());
    }
    for user in all_users(&*txn)? {
        let account = records::user(&*txn, &user)?.unwrap_or_default();
        let usage = records::usage(&*txn, &user)?;
        put_places(txn, &user, &account, &usage);
        if account.disabled {
            disable(txn, &user, true);
        }
    }
    shard.users_indexed = true;
    Ok(())
}

/// A new user takes its places.
pub(super) fn add(txn: &mut Txn<'_>, shard: &Shard, user: &UserKey, account: &User) {
    if shard.users_indexed {
        put_places(txn, user, account, &Usage::default());
    }
}

/// A user was disabled, or enabled again.
pub(super) fn disable(txn: &mut Txn<'_>, user: &UserKey, disabled: bool) {
    if disabled {
        txn.put(tables::user_disabled(user), records::wrap_raw(&[]));
    } else {
        txn.delete(tables::user_disabled(user));
    }
}

/// A user's usage changed.
pub(super) fn move_usage(txn: &mut Txn<'_>, shard: &Shard, user: &UserKey, before: u64, after: u64) {
    if shard.users_indexed && before != after {
        txn.delete(tables::user_used(before, user));
        txn.put(tables::user_used(after, user), records::wrap_raw(&[]));
    }
}

fn put_places(txn: &mut Txn<'_>, user: &UserKey, account: &User, usage: &Usage) {
    txn.put(tables::user_created(account.created_at_ms, user), records::wrap_raw(&[]));
    txn.put(tables::user_used(usage.bytes, user), records::wrap_raw(&[]));
}

fn all_users(read: &dyn Read) -> Result<Vec<UserKey>, Error> {
    let (mut users, mut failure) = (Vec::new(), None);
    read.scan(&[tables::USER], &[tables::USER + 1], &mut |row, _| match row[1..].try_into() {
        Ok(user) => {
            users.push(user);
            ControlFlow::Continue(())
        }
        Err(error) => {
            failure = Some(Error::corrupt("user's key", error));
            ControlFlow::Break(())
        }
    })?;
    failure.map_or(Ok(users), Err)
}
