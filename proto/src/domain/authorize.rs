//! The one authorization rule, asked by gateways to refuse early and by shards to decide
//! (docs/rules/protocol.md#capabilities). It knows neither whether a path exists nor whether a user is disabled.

use pubky_common::StoragePath;
use pubky_common::capabilities::{Action, Capability};

use super::path::{is_private, is_public};
use super::user::UserKey;
use crate::error::ErrorCode;

/// Who asks, and what they may do: from a live cookie session or from a live bearer's stored grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// The user whose session it is.
    pub user: UserKey,
    /// The session's rights. A path needs one capability that covers it and has the action.
    pub capabilities: Vec<Capability>,
}

impl SessionView {
    fn may(&self, action: Action, path: &StoragePath) -> bool {
        self.capabilities
            .iter()
            .any(|capability| capability.actions().contains(&action) && capability.scope_covers_path(path))
    }

    /// Whether one capability has scope `/`, read and write; two halves do not add up.
    pub fn is_root(&self) -> bool {
        self.capabilities.iter().any(Capability::is_root)
    }
}

/// Whether PUT, DELETE, LOCK and UNLOCK are allowed. The error is the refusal.
pub fn write(session: &SessionView, tenant: &UserKey, path: &StoragePath) -> Result<(), ErrorCode> {
    inside_roots(path)?;
    if session.user != *tenant {
        return Err(ErrorCode::TenantMismatch);
    }
    if !session.may(Action::Write, path) {
        return Err(ErrorCode::NoWriteCapability);
    }
    Ok(())
}

/// Refuses a write outside of `/pub/` and `/priv/`, whoever asks.
pub fn inside_roots(path: &StoragePath) -> Result<(), ErrorCode> {
    if is_public(path) || is_private(path) { Ok(()) } else { Err(ErrorCode::WriteOutsideRoots) }
}

/// Whether everybody may read `path`, with or without a session.
pub fn is_open_read(path: &StoragePath) -> bool {
    is_public(path)
}

/// Whether GET, HEAD and listings are allowed. The error is the refusal.
pub fn read(session: Option<&SessionView>, tenant: &UserKey, path: &StoragePath) -> Result<(), ErrorCode> {
    if is_open_read(path) {
        return Ok(());
    }
    if !is_private(path) {
        return Err(ErrorCode::ReadOutsideRoots);
    }
    let session = session.ok_or(ErrorCode::ReadNeedsAuth)?;
    if session.user != *tenant {
        return Err(ErrorCode::TenantMismatch);
    }
    if !session.may(Action::Read, path) {
        return Err(ErrorCode::NoReadCapability);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// User, capabilities, path, decision.
    type WriteCase = (u8, &'static [&'static str], &'static str, Result<(), ErrorCode>);
    /// User and capabilities of the session, if any; path, decision.
    type ReadCase = (Option<(u8, &'static [&'static str])>, &'static str, Result<(), ErrorCode>);

    fn key(seed: u8) -> UserKey {
        [seed; 32]
    }

    fn session(seed: u8, capabilities: &[&str]) -> SessionView {
        let capabilities = capabilities.iter().map(|text| text.parse().expect("a capability")).collect();
        SessionView { user: key(seed), capabilities }
    }

    fn path(text: &str) -> StoragePath {
        StoragePath::new(text).expect("canonical")
    }

    #[test]
    fn writes_are_decided_by_root_then_tenant_then_capability() {
        use ErrorCode::*;
        let table: &[WriteCase] = &[
            (1, &["/:rw"], "/pub/a", Ok(())),
            (1, &["/:rw"], "/priv/a", Ok(())),
            (1, &["/:w"], "/pub/a", Ok(())),
            (2, &["/:rw"], "/other/a", Err(WriteOutsideRoots)),
            (1, &["/:rw"], "/pub", Err(WriteOutsideRoots)),
            (1, &["/:rw"], "/private/a", Err(WriteOutsideRoots)),
            (2, &["/:rw"], "/pub/a", Err(TenantMismatch)),
            (2, &[], "/pub/a", Err(TenantMismatch)),
            (1, &[], "/pub/a", Err(NoWriteCapability)),
            (1, &["/:re"], "/pub/a", Err(NoWriteCapability)),
            (1, &["/pub/app/:w"], "/pub/app/x/y", Ok(())),
            (1, &["/pub/app/:w"], "/pub/app", Err(NoWriteCapability)),
            (1, &["/pub/app:w"], "/pub/app", Ok(())),
            (1, &["/pub/app:w"], "/pub/app/x", Err(NoWriteCapability)),
            (1, &["/pub/app/:w"], "/pub/app2/x", Err(NoWriteCapability)),
            (1, &["/pub/a/:r", "/pub/b/:w"], "/pub/a/x", Err(NoWriteCapability)),
            (1, &["/pub/a/:r", "/pub/b/:w"], "/pub/b/x", Ok(())),
        ];
        for (seed, capabilities, target, expected) in table {
            let session = session(*seed, capabilities);
            assert_eq!(
                write(&session, &key(1), &path(target)),
                *expected,
                "{seed} {capabilities:?} {target}"
            );
        }
    }

    #[test]
    fn reads_are_open_below_pub_and_guarded_below_priv() {
        use ErrorCode::*;
        let table: &[ReadCase] = &[
            (None, "/pub/a", Ok(())),
            (None, "/pub/", Ok(())),
            (Some((2, &[])), "/pub/a", Ok(())),
            (None, "/pub", Err(ReadOutsideRoots)),
            (None, "/priv", Err(ReadOutsideRoots)),
            (Some((1, &["/:rw"])), "/", Err(ReadOutsideRoots)),
            (None, "/priv/a", Err(ReadNeedsAuth)),
            (Some((2, &["/:rw"])), "/priv/a", Err(TenantMismatch)),
            (Some((1, &["/:w"])), "/priv/a", Err(NoReadCapability)),
            (Some((1, &["/:e"])), "/priv/a", Err(NoReadCapability)),
            (Some((1, &["/priv/app/:r"])), "/priv/b", Err(NoReadCapability)),
            (Some((1, &["/priv/app/:r"])), "/priv/app/", Ok(())),
            (Some((1, &["/priv/app/:r"])), "/priv/", Err(NoReadCapability)),
        ];
        for (who, target, expected) in table {
            let session = who.map(|(seed, capabilities)| session(seed, capabilities));
            assert_eq!(read(session.as_ref(), &key(1), &path(target)), *expected, "{who:?} {target}");
        }
    }

    #[test]
    fn root_is_one_capability_with_both_halves() {
        assert!(session(1, &["/:rw"]).is_root());
        assert!(session(1, &["/pub/:r", "/:rwe"]).is_root());
        assert!(!session(1, &["/:r", "/:w"]).is_root());
        assert!(!session(1, &["/pub/:rw"]).is_root());
    }
}
