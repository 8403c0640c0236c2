//! What one user may use: which quotas are valid, how changes are merged, and what a quota lets its user do.

mod bandwidth;
mod json;
mod rate;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use pubky_common::StoragePath;

use crate::wire::account::user_quota::Storage;
use crate::wire::account::{QuotaField, QuotaPatch, UserQuota};

use rate::Rate;

pub use bandwidth::{parse_bandwidth, read_bandwidth, write_bandwidth};
pub use json::{PatchJson, QuotaJson};
pub use rate::{UNLIMITED, period_ms};

/// Bytes of a megabyte, as quotas count.
pub const BYTES_PER_MB: u64 = 1024 * 1024;
/// Largest burst, in the rate's unit.
const BURST_MAX: u32 = i32::MAX as u32;
/// Most entries of `allowed_write_paths`: every write reads them.
const WRITE_PATHS_MAX: usize = 256;
/// Most bytes of all of them, so that a page of 1000 users fits into one message.
const WRITE_PATHS_BYTES_MAX: usize = 3 * 1024;

/// Bytes a user may store: the user's own limit, else the default. `None`: no limit.
pub fn storage_bytes(quota: Option<&UserQuota>, default_bytes: Option<u64>) -> Option<u64> {
    match quota.and_then(|quota| quota.storage.as_ref()) {
        Some(Storage::StorageMb(mb)) => Some(mb.saturating_mul(BYTES_PER_MB)),
        Some(Storage::StorageUnlimited(_)) => None,
        None => default_bytes,
    }
}

/// Whether the quota lets its user write this path.
pub fn may_write(quota: Option<&UserQuota>, path: &StoragePath) -> bool {
    let Some(allowed) = quota.and_then(|quota| quota.allowed_write_paths.as_ref()) else { return true };
    allowed.paths.iter().any(|entry| match entry.ends_with('/') {
        true => path.as_str().starts_with(entry.as_str()),
        false => path.as_str() == entry,
    })
}

/// The quota after a patch. Refused, with what is wrong, unless the whole of it is valid.
pub fn merge(quota: &UserQuota, patch: &QuotaPatch) -> Result<UserQuota, String> {
    let mut merged = quota.clone();
    for field in &patch.reset {
        match QuotaField::try_from(*field).map_err(|_| "unknown field".to_owned())? {
            QuotaField::Storage => merged.storage = None,
            QuotaField::RateRead => merged.rate_read = None,
            QuotaField::RateWrite => merged.rate_write = None,
            QuotaField::RateReadBurst => merged.rate_read_burst = None,
            QuotaField::RateWriteBurst => merged.rate_write_burst = None,
            QuotaField::AllowedWritePaths => merged.allowed_write_paths = None,
        }
    }
    if let Some(set) = &patch.set {
        let UserQuota {
            storage,
            rate_read,
            rate_write,
            rate_read_burst,
            rate_write_burst,
            allowed_write_paths,
        } = set.clone();
        merged.storage = storage.or(merged.storage);
        merged.rate_read = rate_read.or(merged.rate_read);
        merged.rate_write = rate_write.or(merged.rate_write);
        merged.rate_read_burst = rate_read_burst.or(merged.rate_read_burst);
        merged.rate_write_burst = rate_write_burst.or(merged.rate_write_burst);
        merged.allowed_write_paths = allowed_write_paths.or(merged.allowed_write_paths);
    }
    check(&merged)?;
    Ok(merged)
}

/// Why a quota is invalid.
pub fn check(quota: &UserQuota) -> Result<(), String> {
    check_rate("rate_read", quota.rate_read.as_deref(), quota.rate_read_burst)?;
    check_rate("rate_write", quota.rate_write.as_deref(), quota.rate_write_burst)?;
    let paths = quota.allowed_write_paths.iter().flat_map(|paths| &paths.paths);
    let bytes: usize = paths.clone().map(String::len).sum();
    if bytes > WRITE_PATHS_BYTES_MAX {
        return Err(format!("allowed_write_paths has more than {WRITE_PATHS_BYTES_MAX} bytes"));
    }
    let mut seen = BTreeSet::new();
    for (at, path) in paths.enumerate() {
        if at >= WRITE_PATHS_MAX {
            return Err(format!("allowed_write_paths has more than {WRITE_PATHS_MAX} entries"));
        }
        if path == "/" {
            return Err(format!("allowed_write_paths[{at}] must not be '/'; use null for no restriction"));
        }
        if StoragePath::new(path).is_err() {
            return Err(format!("allowed_write_paths[{at}] is no storage path"));
        }
        if !seen.insert(path) {
            return Err(format!("allowed_write_paths[{at}] is a duplicate: \"{path}\""));
        }
    }
    Ok(())
}

fn check_rate(field: &str, rate: Option<&str>, burst: Option<u32>) -> Result<(), String> {
    let limited = rate.filter(|rate| *rate != UNLIMITED);
    if let Some(rate) = limited {
        let canonical: String = Rate::try_from(rate.to_owned()).map_err(|why| format!("{field}: {why}"))?.0;
        if canonical != rate {
            return Err(format!("{field}: write it as \"{canonical}\""));
        }
    }
    match burst {
        Some(_) if limited.is_none() => Err(format!("{field}_burst requires the rate to be set to a value")),
        Some(burst) if burst == 0 || burst > BURST_MAX => {
            Err(format!("{field}_burst must be from 1 to {BURST_MAX}"))
        }
        _ => Ok(()),
    }
}
