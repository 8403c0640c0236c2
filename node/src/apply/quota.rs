//! Usage, and the storage quota that bounds it (docs/rules/protocol.md#quotas).

use rowhouse_proto::ErrorCode;
pub(super) use rowhouse_proto::domain::quota::storage_bytes;
use rowhouse_proto::wire::state::{Entry, Usage};

use super::error::ApplyError;
use crate::state::records::FILE_OVERHEAD_BYTES;

/// Usage after a file of `length` bytes has taken the place of `previous`.
pub(super) fn after_put(usage: &Usage, previous: Option<&Entry>, length: u64) -> Usage {
    let freed = after_delete(usage, previous);
    Usage {
        bytes: freed.bytes.saturating_add(length).saturating_add(FILE_OVERHEAD_BYTES),
        files: freed.files + 1,
        ..freed
    }
}

/// Usage after `previous` is gone.
pub(super) fn after_delete(usage: &Usage, previous: Option<&Entry>) -> Usage {
    match previous {
        None => *usage,
        Some(entry) => Usage {
            bytes: usage.bytes.saturating_sub(entry.length.saturating_add(FILE_OVERHEAD_BYTES)),
            files: usage.files.saturating_sub(1),
            ..*usage
        },
    }
}

/// Refuses usage above the bytes that the user may store. Exactly full is fine; a shrink that leaves too much is refused.
pub(super) fn check(quota_bytes: Option<u64>, after: &Usage) -> Result<(), ApplyError> {
    match quota_bytes {
        Some(quota) if after.bytes > quota => Err(ErrorCode::QuotaExceeded.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn entry(length: u64) -> Entry {
        Entry { length, ..Entry::default() }
    }

    #[test]
    fn a_file_counts_its_bytes_and_256_more() {
        let empty = Usage::default();
        let one = after_put(&empty, None, 100);
        assert_eq!(one, Usage { bytes: 356, files: 1, removed_ms: 0 });
        let grown = after_put(&one, Some(&entry(100)), 150);
        assert_eq!(grown, Usage { bytes: 406, files: 1, removed_ms: 0 });
        assert_eq!(after_delete(&grown, Some(&entry(150))), empty);
    }

    #[test]
    fn a_quota_may_be_filled_exactly() {
        let quota = Some(MIB);
        let after = |length| after_put(&Usage::default(), None, length);
        assert!(check(quota, &after(MIB - 256)).is_ok());
        assert!(check(quota, &after(MIB - 255)).is_err());
        assert!(check(None, &after(u64::MAX)).is_ok());
        assert!(check(Some(0), &after(0)).is_err());
    }

    #[test]
    fn over_quota_only_a_sufficient_shrink_passes() {
        let quota = Some(1000);
        let usage = after_put(&Usage::default(), None, 2000);
        assert!(check(quota, &after_put(&usage, Some(&entry(2000)), 1000)).is_err());
        assert!(check(quota, &after_put(&usage, Some(&entry(2000)), 744)).is_ok());
    }
}
