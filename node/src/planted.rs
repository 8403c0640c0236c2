//! The planted bugs of the state machine and of large bodies; `rowhouse_raft::planted` says which this process has.

use rowhouse_raft::planted::is_planted;

/// Whether a request that was applied before is applied again.
pub(crate) fn skip_dedup() -> bool {
    is_planted("skip-dedup")
}

/// Whether an overwritten object is erased at once, while readers may still need it.
pub(crate) fn erase_at_overwrite() -> bool {
    is_planted("erase-at-overwrite")
}

/// Whether one stored copy is enough for an object to be committed.
pub(crate) fn commit_with_one_copy() -> bool {
    is_planted("commit-with-one-copy")
}

/// So many commands are applied between two that are not, counted over all replicas of this process.
#[cfg(feature = "planted-bugs")]
const APPLIED_TRULY: u64 = 97;

/// Whether the command at hand is answered and not applied: on this replica alone.
#[cfg(feature = "planted-bugs")]
pub(crate) fn diverge() -> bool {
    use std::sync::atomic::{AtomicU64, Ordering};
    static APPLIED: AtomicU64 = AtomicU64::new(0);
    is_planted("diverge") && APPLIED.fetch_add(1, Ordering::Relaxed) % APPLIED_TRULY == APPLIED_TRULY - 1
}

/// Never, without the feature.
#[cfg(not(feature = "planted-bugs"))]
pub(crate) const fn diverge() -> bool {
    false
}

/// Whether a write happens although its conditions do not hold.
pub(crate) fn ignore_conditions() -> bool {
    is_planted("ignore-conditions")
}

/// Whether a write, or another lock, happens although the path is locked.
pub(crate) fn ignore_locks() -> bool {
    is_planted("ignore-locks")
}

/// Whether a chunk is answered without a look at its checksum.
pub(crate) fn skip_checksum() -> bool {
    is_planted("skip-checksum")
}

/// An event has the time of its proposer's clock, whatever is closed.
pub(crate) fn ids_at_propose() -> bool {
    is_planted("ids-at-propose")
}

/// A page is read of a replica that has not applied everything up to the page's end.
pub(crate) fn emit_past_frontier() -> bool {
    is_planted("emit-past-frontier")
}

/// A leader tells that its shard is closed, and no entry says so.
pub(crate) fn close_without_entry() -> bool {
    is_planted("close-without-entry")
}

/// A node obeys a coordinator that another one has deposed, and members that changed meanwhile do not hold it up.
pub(crate) fn obey_deposed_coordinators() -> bool {
    is_planted("obey-deposed-coordinators")
}

/// A replica votes although its objects, or the last of its log, are not there.
pub(crate) fn vote_before_complete() -> bool {
    is_planted("vote-before-complete")
}

/// A group's last replica is made its only voter although others answer.
pub(crate) fn recover_beside_a_quorum() -> bool {
    is_planted("recover-beside-a-quorum")
}

/// The chunks of a replica that was removed stay where they are.
pub(crate) fn keep_removed_chunks() -> bool {
    is_planted("keep-removed-chunks")
}

/// The id of a replica that moved is handed out again.
pub(crate) fn reuse_replica_id() -> bool {
    is_planted("reuse-replica-id")
}

/// A user's stored packet is published without a look at what the network has.
pub(crate) fn publish_without_look_up() -> bool {
    is_planted("publish-without-look-up")
}

/// The homeserver's packet has the time of its author's clock, whatever was committed before.
pub(crate) fn regress_timestamp() -> bool {
    is_planted("regress-timestamp")
}
