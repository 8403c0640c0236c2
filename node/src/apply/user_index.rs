//! The orders in which operators list users: by time of signup and by usage, and which are disabled. Kept from command version 4 on; the first
//! command of that version in a shard builds them for the users there are.

use std::ops::ControlFlow;

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Usage, User};
use rowhouse_raft::Error;

use super::turn::{ACCOUNTS_SINCE, Turn};
use crate::state::{records, tables};

/// Builds the indexes, unless this shard has them.
pub(super) fn build_once(turn: &mut Turn<'_, '_>) -> Result<(), Error> {
    if turn.shard.users_indexed || turn.version() < ACCOUNTS_SINCE {
        return Ok(());
    }
    for user in all_users(turn)? {
        let account = records::user(&*turn.txn, &user)?.unwrap_or_default();
        let usage = records::usage(&*turn.txn, &user)?;
        put_places(turn, &user, &account, &usage);
        if account.disabled {
            disable(turn, &user, true);
        }
    }
    turn.shard.users_indexed = true;
    Ok(())
}

/// A new user takes its places.
pub(super) fn add(turn: &mut Turn<'_, '_>, user: &UserKey, account: &User) {
    if turn.shard.users_indexed {
        put_places(turn, user, account, &Usage::default());
    }
}

/// A user was disabled, or enabled again.
pub(super) fn disable(turn: &mut Turn<'_, '_>, user: &UserKey, disabled: bool) {
    if disabled {
        turn.txn.put(tables::user_disabled(user), records::wrap_raw(&[]));
    } else {
        turn.txn.delete(tables::user_disabled(user));
    }
}

/// A user's usage changed.
pub(super) fn move_usage(turn: &mut Turn<'_, '_>, user: &UserKey, before: u64, after: u64) {
    if turn.shard.users_indexed && before != after {
        turn.txn.delete(tables::user_used(before, user));
        turn.txn.put(tables::user_used(after, user), records::wrap_raw(&[]));
    }
}

fn put_places(turn: &mut Turn<'_, '_>, user: &UserKey, account: &User, usage: &Usage) {
    turn.txn.put(tables::user_created(account.created_at_ms, user), records::wrap_raw(&[]));
    turn.txn.put(tables::user_used(usage.bytes, user), records::wrap_raw(&[]));
}

fn all_users(turn: &Turn<'_, '_>) -> Result<Vec<UserKey>, Error> {
    let (mut users, mut failure) = (Vec::new(), None);
    let read: &dyn crate::state::Read = &*turn.txn;
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
