//! The head of every write's decision: session, shape of the path, capability, owner
//! (docs/rules/protocol.md#order-of-checks).

use pubky_common::StoragePath;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::domain::secret::SecretHash;
use rowhouse_proto::domain::user::{UserKey, parse as parse_user};
use rowhouse_proto::domain::{authorize, path, quota};
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
    /// Neither a disabled account nor its write paths bind the operator.
    pub(super) by_operator: bool,
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
    let presented = Presented::in_command(credential);
    let by_operator = matches!(presented, Some(Presented::Operator));
    let session = session::resolve(read, presented, &user, now_s)?;
    if session.is_none() && !by_operator {
        return Err(ErrorCode::NoSession.into());
    }
    let path = path::parse_canonical(path)?;
    if path.is_directory() {
        return Err(ErrorCode::TargetMustBeFile.into());
    }
    match &session {
        Some(session) => authorize::write(session, &user, &path)?,
        None => authorize::inside_roots(&path)?,
    }
    let account = records::user(read, &user)?.ok_or(ErrorCode::NotFound)?;
    Ok(Granted { user, path, account, by_operator })
}

/// Refuses a hash that is no SHA-256. The gateway draws and hashes secrets, so that another length is its bug.
pub(super) fn check_secret_hash(hash: &[u8]) -> Result<(), ApplyError> {
    SecretHash::from_slice(hash).map(|_| ()).ok_or_else(|| ErrorCode::Internal.into())
}

/// Refuses a path that none of the account's allowed write paths covers.
pub(super) fn check_allowed_write_path(granted: &Granted) -> Result<(), ApplyError> {
    if granted.by_operator || quota::may_write(granted.account.quota.as_ref(), &granted.path) {
        Ok(())
    } else {
        Err(ErrorCode::WritePathNotAllowed.into())
    }
}
