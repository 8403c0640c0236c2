//! Accounts for operators: one, or a page of the shard's in the order of signup or of usage.

use std::ops::ControlFlow;

use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::user::{self, UserKey};
use rowhouse_proto::wire::shard::list_users::{Sort, State};
use rowhouse_proto::wire::shard::{Account, AccountPage, AccountPlace, GetUser, ListUsers};
use rowhouse_raft::Error;
use rowhouse_raft::state::{ScanOrder, View};

use crate::apply::ApplyError;
use crate::state::{records, tables};

/// Most accounts of one page.
pub const USER_PAGE_MAX: u32 = 1000;

/// A place in an order: the value it is sorted by, then the key.
type Place = (u64, UserKey);

/// One account.
pub fn get_user(view: &View<'_>, query: &GetUser) -> Result<Account, ApplyError> {
    let user = user::parse(&query.tenant)?;
    account(view, &user)?.ok_or_else(|| ErrorCode::NotFound.into())
}

/// A page of accounts.
pub fn list_users(view: &View<'_>, query: &ListUsers) -> Result<AccountPage, ApplyError> {
    let limit = query.limit.min(USER_PAGE_MAX) as usize;
    let after = query.after.as_ref().map(place).transpose()?;
    let mut accounts = Vec::new();
    let mut take = |user: &UserKey| -> Result<bool, Error> {
        if accounts.len() == limit {
            return Ok(false);
        }
        let account =
            account(view, user)?.ok_or_else(|| Error::corrupt("user", "an index knows one without a row"))?;
        let wanted = match query.state() {
            State::All => true,
            State::Enabled => !account.disabled,
            State::Disabled => account.disabled,
        };
        if wanted {
            accounts.push(account);
        }
        Ok(true)
    };
    let is_indexed = records::shard(view)?.users_indexed;
    match (is_indexed, query.state()) {
        // Few of many: walking an order would read everybody.
        (true, State::Disabled) => walk_sorted(view, tables::USER_DISABLED, query, after, &mut take)?,
        (true, _) => walk_index(view, query, after, &mut take)?,
        (false, _) => walk_sorted(view, tables::USER, query, after, &mut take)?,
    }
    Ok(AccountPage { accounts })
}

fn place(place: &AccountPlace) -> Result<Place, ErrorCode> {
    Ok((place.value, user::parse(&place.user)?))
}

fn account(view: &View<'_>, user: &UserKey) -> Result<Option<Account>, Error> {
    let Some(row) = records::user(view, user)? else { return Ok(None) };
    Ok(Some(Account {
        user: user.to_vec().into(),
        created_at_ms: row.created_at_ms,
        disabled: row.disabled,
        used_bytes: records::usage(view, user)?.bytes,
        quota: row.quota,
        signup_token: row.signup_token,
    }))
}

type Take<'a> = dyn FnMut(&UserKey) -> Result<bool, Error> + 'a;

fn walk_index(
    view: &View<'_>,
    query: &ListUsers,
    after: Option<Place>,
    take: &mut Take<'_>,
) -> Result<(), Error> {
    let table = match query.sort() {
        Sort::CreatedAt => tables::USER_CREATED,
        Sort::UsedBytes => tables::USER_USED,
    };
    let (mut from, mut to) = (vec![table], vec![table + 1]);
    if let Some((value, user)) = after {
        let at = tables::key(table, &[&value.to_be_bytes(), &user]);
        if query.reverse {
            to = at.to_vec();
        } else {
            // The least key above it.
            from = [&at[..], &[0]].concat();
        }
    }
    let order = if query.reverse { ScanOrder::Descending } else { ScanOrder::Ascending };
    let mut failure = None;
    view.scan(&from, &to, order, &mut |row: &[u8], _: &[u8]| {
        let taken = match row[1 + 8..].try_into() {
            Ok(user) => take(&user),
            Err(error) => Err(Error::corrupt("place of a user", error)),
        };
        match taken {
            Ok(true) => ControlFlow::Continue(()),
            Ok(false) => ControlFlow::Break(()),
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    failure.map_or(Ok(()), Err)
}

/// Sorts the users of a table that is keyed by them: the disabled ones, or all of a shard that no command of version 4
/// has reached yet.
fn walk_sorted(
    view: &View<'_>,
    table: u8,
    query: &ListUsers,
    after: Option<Place>,
    take: &mut Take<'_>,
) -> Result<(), Error> {
    let (mut users, mut failure) = (Vec::new(), None);
    view.scan(&[table], &[table + 1], ScanOrder::Ascending, &mut |row: &[u8], _: &[u8]| {
        match row[1..].try_into() {
            Ok(user) => users.push(user),
            Err(error) => failure = Some(Error::corrupt("user's key", error)),
        }
        ControlFlow::Continue(())
    })?;
    if let Some(error) = failure {
        return Err(error);
    }
    let mut places = Vec::with_capacity(users.len());
    for user in users {
        let value = match query.sort() {
            Sort::CreatedAt => records::user(view, &user)?.unwrap_or_default().created_at_ms,
            Sort::UsedBytes => records::usage(view, &user)?.bytes,
        };
        places.push((value, user));
    }
    places.sort_unstable();
    if query.reverse {
        places.reverse();
    }
    let is_past =
        |place: &Place| after.is_none_or(|after| if query.reverse { *place < after } else { *place > after });
    for (_, user) in places.iter().filter(|place| is_past(place)) {
        if !take(user)? {
            break;
        }
    }
    Ok(())
}
