//! Bugs the tests must catch. Without the feature there is nothing here to switch on.

#[cfg(feature = "planted-bugs")]
fn planted(bug: &str) -> bool {
    use std::sync::OnceLock;
    static NAME: OnceLock<Option<String>> = OnceLock::new();
    NAME.get_or_init(|| std::env::var("ROWHOUSE_PLANTED").ok()).as_deref() == Some(bug)
}

#[cfg(not(feature = "planted-bugs"))]
const fn planted(_: &str) -> bool {
    false
}

pub(crate) fn skip_dedup() -> bool {
    planted("skip-dedup")
}

pub(crate) fn erase_at_overwrite() -> bool {
    planted("erase-at-overwrite")
}

pub(crate) fn commit_with_one_copy() -> bool {
    planted("commit-with-one-copy")
}

/// Of the commands this process applies, for all its replicas together, so many are applied and then one is not.
#[cfg(feature = "planted-bugs")]
const APPLIED_TRULY: u64 = 97;

/// Whether the command at hand is answered and not applied: on this replica alone.
#[cfg(feature = "planted-bugs")]
pub(crate) fn diverge() -> bool {
    use std::sync::atomic::{AtomicU64, Ordering};
    static APPLIED: AtomicU64 = AtomicU64::new(0);
    planted("diverge") && APPLIED.fetch_add(1, Ordering::Relaxed) % APPLIED_TRULY == APPLIED_TRULY - 1
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn diverge() -> bool {
    false
}

pub(crate) fn skip_checksum() -> bool {
    planted("skip-checksum")
}
