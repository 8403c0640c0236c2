//! The planted bugs of the state machine and of large bodies; `rowhouse_raft::planted` says which this process has.

use rowhouse_raft::planted::is_planted;

pub(crate) fn skip_dedup() -> bool {
    is_planted("skip-dedup")
}

pub(crate) fn erase_at_overwrite() -> bool {
    is_planted("erase-at-overwrite")
}

pub(crate) fn commit_with_one_copy() -> bool {
    is_planted("commit-with-one-copy")
}

/// Of the commands this process applies, for all its replicas together, so many are applied and then one is not.
#[cfg(feature = "planted-bugs")]
const APPLIED_TRULY: u64 = 97;

/// Whether the command at hand is answered and not applied: on this replica alone.
#[cfg(feature = "planted-bugs")]
pub(crate) fn diverge() -> bool {
    use std::sync::atomic::{AtomicU64, Ordering};
    static APPLIED: AtomicU64 = AtomicU64::new(0);
    is_planted("diverge") && APPLIED.fetch_add(1, Ordering::Relaxed) % APPLIED_TRULY == APPLIED_TRULY - 1
}

#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn diverge() -> bool {
    false
}

pub(crate) fn skip_checksum() -> bool {
    is_planted("skip-checksum")
}

/// A node obeys a coordinator that another one has deposed, and members that changed meanwhile do not hold it up.
pub(crate) fn obey_deposed_coordinators() -> bool {
    is_planted("obey-deposed-coordinators")
}

/// A replica votes although its objects, or the last of its log, are not there.
pub(crate) fn vote_before_complete() -> bool {
    is_planted("vote-before-complete")
}

/// The id of a replica that moved is handed out again.
pub(crate) fn reuse_replica_id() -> bool {
    is_planted("reuse-replica-id")
}
