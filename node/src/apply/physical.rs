//! Bytes that a user's large bodies take on the disks: live bodies, replaced ones until they are forgotten, and uploads
//! under way.
//!
//! These bytes have a bound of their own beside the quota. The quota counts only live files, so that a user who
//! overwrites one file without end stays within it, and yet fills disks with old versions in their grace. An upload
//! counts with the length its client declared. An upload of unknown length counts with the bytes it may send before it
//! is renewed: one window at first, then as many as it asked for. Its PUT replaces them by the true length.

use rowhouse_proto::domain::user::UserKey;
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_proto::{ErrorCode, UPLOAD_WINDOW_BYTES};
use rowhouse_raft::Error;

use super::error::ApplyError;
use super::turn::Turn;
use crate::state::objects::{self, ObjectId};
use crate::state::{Read, records, tables};

/// Quotas that a user's bodies may take on the disks, and one window beyond. One is for live bodies, one for those that
/// replace them, and one for old versions.
pub const PHYSICAL_QUOTAS: u64 = 3;
/// Most uploads of one user that are neither committed nor expired. A shard has `UPLOADS_MAX`.
pub const UPLOADS_OF_USER_MAX: u64 = 256;

/// Refuses an upload that would be one too many, or reserve too many bytes, when it begins or is renewed.
pub(super) fn check_upload(
    read: &dyn Read,
    quota_bytes: Option<u64>,
    user: &UserKey,
    id: &ObjectId,
    reserved: u64,
) -> Result<(), ApplyError> {
    let counted = match objects::object(read, id)? {
        Some(row) => row.length,
        None if records::physical_usage(read, user)?.uploads >= UPLOADS_OF_USER_MAX => {
            return Err(ErrorCode::TooManyUploads.into());
        }
        None => 0,
    };
    check_growth(read, quota_bytes, user, reserved.saturating_sub(counted))
}

/// Refuses growth beyond the user's bound. No growth is never refused, and a sum that overflows always is.
pub(super) fn check_growth(
    read: &dyn Read,
    quota_bytes: Option<u64>,
    user: &UserKey,
    grows_by: u64,
) -> Result<(), ApplyError> {
    if grows_by == 0 {
        return Ok(());
    }
    let after = records::physical_usage(read, user)?.bytes.checked_add(grows_by);
    if after.is_some_and(|after| after <= bytes_max(quota_bytes)) {
        Ok(())
    } else {
        Err(ErrorCode::TooMuchStored.into())
    }
}

fn bytes_max(quota_bytes: Option<u64>) -> u64 {
    quota_bytes
        .map_or(u64::MAX, |quota| quota.saturating_mul(PHYSICAL_QUOTAS).saturating_add(UPLOAD_WINDOW_BYTES))
}

/// Moves the counters from an object's row before a change to its row after it; `None` is no row.
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
    // Subtracts first: lengths are as clients said, and a sum must not be cut off at its top.
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

/// The share of one row in the counters.
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
        assert_eq!(bytes_max(None), u64::MAX);
        assert_eq!(bytes_max(Some(10)), 30 + UPLOAD_WINDOW_BYTES);
        assert_eq!(bytes_max(Some(u64::MAX)), u64::MAX);
    }
}
