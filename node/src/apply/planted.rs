//! Bugs the tests must catch. Without the feature there is nothing here to switch on.

#[cfg(feature = "planted-bugs")]
pub(super) fn skip_dedup() -> bool {
    use std::sync::OnceLock;
    static SKIP: OnceLock<bool> = OnceLock::new();
    *SKIP.get_or_init(|| std::env::var("ROWHOUSE_PLANTED").is_ok_and(|name| name == "skip-dedup"))
}

#[cfg(not(feature = "planted-bugs"))]
pub(super) const fn skip_dedup() -> bool {
    false
}
