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

pub(crate) fn skip_checksum() -> bool {
    planted("skip-checksum")
}
