//! The time in a file's `Last-Modified`.
//!
//! A client that has a copy asks by that header whether the copy is still right, and the header counts whole seconds.
//! So every change of a path's bytes moves it by at least a second, also within one second and after the clock stepped
//! back. The time of a file that changes more often runs ahead of the clock. A PUT of the same bytes moves it with the
//! clock alone, as the protocol says.
//!
//! A file that comes after a deletion is newer than everything its user ever deleted. A copy of an earlier file at the
//! path is thus not taken for it. All paths of a user share one such time, because a time for each would need a row
//! for each.

use rowhouse_proto::wire::state::{Entry, Usage};

/// The time of a file with this hash, in unix milliseconds. `previous` is the file it replaces, `before` the user's
/// usage until now.
pub(super) fn time(now_ms: u64, hash: &[u8], previous: Option<&Entry>, before: &Usage) -> u64 {
    let least = match previous {
        Some(entry) if entry.hash == hash => entry.modified_ms,
        Some(entry) => next_second(entry.modified_ms),
        None if before.removed_ms == 0 => 0,
        None => next_second(before.removed_ms),
    };
    now_ms.max(least)
}

fn next_second(ms: u64) -> u64 {
    (ms / 1000).saturating_add(1).saturating_mul(1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"its hash";

    fn entry(modified_ms: u64) -> Entry {
        Entry { modified_ms, hash: BODY.into(), ..Entry::default() }
    }

    #[test]
    fn a_change_is_at_least_a_second_later() {
        let after = |now_ms, previous: &Entry| time(now_ms, b"another", Some(previous), &Usage::default());
        assert_eq!(after(5_999, &entry(5_000)), 6_000, "in the same second");
        assert_eq!(after(6_000, &entry(5_999)), 6_000, "a millisecond is enough where a second begins");
        assert_eq!(after(6_001, &entry(5_999)), 6_001);
        assert_eq!(after(1_000, &entry(5_999)), 6_000, "after the clock stepped back");
        assert_eq!(after(5_000, &entry(9_000)), 10_000, "ahead of the clock");
        assert_eq!(after(0, &entry(u64::MAX)), u64::MAX);
    }

    #[test]
    fn the_same_bytes_follow_the_clock_and_never_go_back() {
        let after = |now_ms, previous: &Entry| time(now_ms, BODY, Some(previous), &Usage::default());
        assert_eq!(after(5_999, &entry(5_000)), 5_999);
        assert_eq!(after(4_000, &entry(5_000)), 5_000);
    }

    #[test]
    fn a_new_file_is_newer_than_what_was_deleted() {
        let after = |now_ms, removed_ms| time(now_ms, BODY, None, &Usage { removed_ms, ..Usage::default() });
        assert_eq!(after(5_000, 0), 5_000);
        assert_eq!(after(5_999, 5_000), 6_000);
        assert_eq!(after(7_000, 5_000), 7_000);
    }
}
