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

/// A write somebody may do, as far as credentials decide it.
pub(super) struct Granted {
    pub(super) user: UserKey,
    pub(super) path: StoragePath,
    pub(super) account: User,
}

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

/// SHA-256 of a secret, drawn and hashed by the gateway.
pub(super) fn check_secret_hash(hash: &[u8]) -> Result<(), ApplyError> {
    SecretHash::from_slice(hash).map(|_| ()).ok_or_else(|| ErrorCode::Internal.into())
}

/// An entry ending in '/' allows what is below it, another one only itself; none at all allows everything.
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
