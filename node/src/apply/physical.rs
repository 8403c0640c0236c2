//! What a user's large bodies take on the disks, whatever a client sees of it: live ones, replaced ones until
//! they are forgotten, and uploads under way.
//!
//! The quota judges what a user has. Whoever overwrites without end has little of it at any time and fills
//! disks with old versions in their grace; so these bytes have a bound of their own. An upload counts with
//! the length its client declared. One of unknown length counts with what it may send before it is renewed:
//! one window at first, then what it asked for. Its PUT puts the true length in that place.

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Object, User, object::State};
use rowhouse_proto::{ErrorCode, UPLOAD_WINDOW_BYTES};
use rowhouse_raft::Error;

use super::stop::Stop;
use super::turn::Turn;
use crate::state::objects::{self, ObjectId};
use crate::state::{Read, records, tables};

/// Quotas a user's bodies may take on the disks, and one window beyond: what is there, what replaces it, and
/// as much again of old versions.
pub const PHYSICAL_QUOTAS: u64 = 3;
/// Uploads of one user that are neither committed nor expired; of `UPLOADS_MAX` in a shard.
pub const UPLOADS_OF_USER_MAX: u64 = 256;

/// Whether an upload may begin, or be renewed with more.
pub(super) fn check_upload(
    read: &dyn Read,
    account: &User,
    user: &UserKey,
    id: &ObjectId,
    reserved: u64,
) -> Result<(), Stop> {
    let counted = match objects::object(read, id)? {
        Some(row) => row.length,
        None if records::physical_usage(read, user)?.uploads >= UPLOADS_OF_USER_MAX => {
            return Err(ErrorCode::TooManyUploads.into());
        }
        None => 0,
    };
    check_growth(read, account, user, reserved.saturating_sub(counted))
}

/// What does not grow is never refused; what cannot be counted always is.
pub(super) fn check_growth(
    read: &dyn Read,
    account: &User,
    user: &UserKey,
    grows_by: u64,
) -> Result<(), Stop> {
    if grows_by == 0 {
        return Ok(());
    }
    let after = records::physical_usage(read, user)?.bytes.checked_add(grows_by);
    if after.is_some_and(|after| after <= bytes_max(account)) {
        Ok(())
    } else {
        Err(ErrorCode::TooMuchStored.into())
    }
}

fn bytes_max(account: &User) -> u64 {
    account
        .quota_bytes
        .map_or(u64::MAX, |quota| quota.saturating_mul(PHYSICAL_QUOTAS).saturating_add(UPLOAD_WINDOW_BYTES))
}

/// Follows a row of an object from one state to the next.
pub(super) fn count(
    turn: &mut Turn<'_, '_>,
    before: Option<&Object>,
    after: Option<&Object>,
) -> Result<(), Error> {
    let (had, has) = (Part::of(before), Part::of(after));
    let Some(row) = before.or(after).filter(|_| had != has) else { return Ok(()) };
    let user: UserKey = row.user[..].try_into().map_err(|error| Error::corrupt("object's user", error))?;
    debug_assert!(turn.shard.uploads >= had.uploads, "an upload was not counted in its shard");
    turn.shard.uploads = turn.shard.uploads.saturating_sub(had.uploads).saturating_add(has.uploads);
    // What goes first: lengths are as clients said, and nothing may be cut off at the top.
    let mut usage = records::physical_usage(&*turn.txn, &user)?;
    debug_assert!(
        usage.bytes >= had.bytes && usage.uploads >= had.uploads,
        "a row was not counted: {usage:?}"
    );
    usage.bytes = usage.bytes.saturating_sub(had.bytes).saturating_add(has.bytes);
    usage.uploads = usage.uploads.saturating_sub(had.uploads).saturating_add(has.uploads);
    let key = tables::physical_usage(&user);
    if usage == Default::default() {
        turn.txn.delete(key);
    } else {
        turn.txn.put(key, records::encode(&usage));
    }
    Ok(())
}

/// What one row counts for.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Part {
    bytes: u64,
    uploads: u64,
}

impl Part {
    fn of(row: Option<&Object>) -> Self {
        let Some(row) = row else { return Self::default() };
        Self { bytes: row.length, uploads: u64::from(row.state() == State::Staged) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_three_quotas_and_a_window() {
        let account = |quota_bytes| User { quota_bytes, ..User::default() };
        assert_eq!(bytes_max(&account(None)), u64::MAX);
        assert_eq!(bytes_max(&account(Some(10))), 30 + UPLOAD_WINDOW_BYTES);
        assert_eq!(bytes_max(&account(Some(u64::MAX))), u64::MAX);
    }
}
