//! The head of every write's decision: session, shape of the path, capability, owner
//! (docs/rules/protocol.md#order-of-checks).

use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::SecretHash;
use rowhouse_proto::domain::user::{UserKey, parse as parse_user};
use rowhouse_proto::domain::{authorize, path};
use rowhouse_proto::wire::command::Credential;
use rowhouse_proto::wire::state::User;

use super::error::ApplyError;
use crate::state::Read;
use crate::state::records;
use crate::state::session::{self, Presented};

/// A write that its credential allows.
pub(super) struct Granted {
    pub(super) user: UserKey,
    pub(super) path: StoragePath,
    pub(super) account: User,
}

/// Whether the credential allows a write of this path. Refusals come in the order of the checks.
pub(super) fn write(
    read: &dyn Read,
    credential: Option<&Credential>,
    user: &[u8],
    path: &str,
    now_s: u64,
) -> Result<Granted, ApplyError> {
    let user = parse_user(user)?;
    let session = session::resolve(read, Presented::in_command(credential), &user, now_s)?
        .ok_or(ErrorCode::NoSession)?;
    let path = path::parse_canonical(path)?;
    if path.is_directory() {
        return Err(ErrorCode::TargetMustBeFile.into());
    }
    authorize::write(&session, &user, &path)?;
    let account = records::user(read, &user)?.ok_or(ErrorCode::NotFound)?;
    Ok(Granted { user, path, account })
}

/// Refuses a hash that is no SHA-256. The gateway draws and hashes secrets, so that another length is its bug.
pub(super) fn check_secret_hash(hash: &[u8]) -> Result<(), ApplyError> {
    SecretHash::from_slice(hash).map(|_| ()).ok_or_else(|| ErrorCode::Internal.into())
}

/// Refuses a path that none of the account's allowed write paths covers. An entry ending in '/' covers all paths below
/// it, another one only itself. An account without entries may write everywhere.
pub(super) fn check_allowed_write_path(account: &User, path: &StoragePath) -> Result<(), ApplyError> {
    let allowed = &account.allowed_write_paths;
    let covers = |entry: &String| {
        if entry.ends_with('/') { path.as_str().starts_with(entry.as_str()) } else { path.as_str() == entry }
    };
    if allowed.is_empty() || allowed.iter().any(covers) {
        Ok(())
    } else {
        Err(ErrorCode::WritePathNotAllowed.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowed_write_paths_are_prefixes_or_exact() {
        let allowed = |entries: &[&str], path: &str| {
            let account = User {
                allowed_write_paths: entries.iter().map(|entry| (*entry).to_owned()).collect(),
                ..User::default()
            };
            check_allowed_write_path(&account, &StoragePath::new(path).expect("canonical")).is_ok()
        };
        assert!(allowed(&[], "/pub/a"));
        assert!(allowed(&["/pub/app/"], "/pub/app/a/b"));
        assert!(!allowed(&["/pub/app/"], "/pub/app"));
        assert!(!allowed(&["/pub/app"], "/pub/app/a"));
        assert!(allowed(&["/pub/x", "/pub/app"], "/pub/app"));
    }
}
