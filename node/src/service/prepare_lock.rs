//! Turns an operation on a lock into its command.

use rowhouse_proto::domain::user;
use rowhouse_proto::wire::command::{self, command::Body};
use rowhouse_proto::wire::shard;
use rowhouse_proto::{ErrorCode, Refusal};

use super::answer::Answer;
use super::prepared::{Prepared, credential};

/// It adds a row, and so it waits while disks are full.
pub(super) fn lock_entry(op: shard::LockEntry) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::LockEntry {
        credential: op.credential.and_then(credential),
        user: op.tenant,
        path: op.path,
        token: op.token,
        timeout_s: op.timeout_s,
    };
    let prepared = Prepared::new(Body::LockEntry(command), Answer::Done, Some(user)).growing();
    Ok(Prepared { later: flaw(op.flaw)?, ..prepared })
}

/// The lock is there already, and its holder may be about to delete.
pub(super) fn refresh_lock(op: shard::RefreshLock) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let presented = op.held.clone().unwrap_or_default().tokens;
    let command = command::RefreshLock {
        credential: op.credential.and_then(credential),
        user: op.tenant,
        path: op.path,
        held: op.held,
        timeout_s: op.timeout_s,
        extend: op.extend,
    };
    Ok(Prepared::new(Body::RefreshLock(command), Answer::LockRefreshed { presented }, Some(user)))
}

pub(super) fn unlock_entry(op: shard::UnlockEntry) -> Result<Prepared, Refusal> {
    let user = user::parse(&op.tenant)?;
    let command = command::UnlockEntry {
        credential: op.credential.and_then(credential),
        user: op.tenant,
        path: op.path,
        token: op.token,
    };
    let prepared = Prepared::new(Body::UnlockEntry(command), Answer::Done, Some(user));
    Ok(Prepared { later: flaw(op.flaw)?, ..prepared })
}

/// The refusal that a gateway found.
fn flaw(number: u32) -> Result<Option<Refusal>, Refusal> {
    match number {
        0 => Ok(None),
        number => Ok(Some(ErrorCode::from_number(number).ok_or(ErrorCode::WrongVersion)?.into())),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::apply::LOCKS_SINCE;

    #[test]
    fn older_programs_never_meet_these_commands() {
        let tenant = Bytes::from_static(&[7; 32]);
        let locked = lock_entry(shard::LockEntry { tenant: tenant.clone(), ..shard::LockEntry::default() });
        let refreshed =
            refresh_lock(shard::RefreshLock { tenant: tenant.clone(), ..shard::RefreshLock::default() });
        let unlocked = unlock_entry(shard::UnlockEntry { tenant, ..shard::UnlockEntry::default() });
        for prepared in [locked, refreshed, unlocked] {
            let prepared = prepared.expect("a user's");
            assert!(prepared.is_too_new(LOCKS_SINCE - 1) && !prepared.is_too_new(LOCKS_SINCE));
            assert_eq!((prepared.user, prepared.anonymous), (Some([7; 32]), false));
        }
    }

    #[test]
    fn a_flaw_is_told_after_the_author_was_judged() {
        let op = |flaw| shard::UnlockEntry {
            tenant: Bytes::from_static(&[7; 32]),
            flaw,
            ..shard::UnlockEntry::default()
        };
        let later = |flaw| unlock_entry(op(flaw)).map(|prepared| prepared.later);
        assert_eq!(later(0), Ok(None));
        let flaw = ErrorCode::InvalidLockToken;
        assert_eq!(later(flaw.number()), Ok(Some(flaw.into())));
        assert_eq!(later(u32::MAX), Err(ErrorCode::WrongVersion.into()));
    }
}
