//! What one user may use: the three-state fields of a quota, their JSON, and how changes and defaults are merged.
//!
//! In JSON a field that is absent or `null` is the cluster's default, `"unlimited"` is no limit, and everything else is
//! the limit itself. In a patch an absent field stays, and `null` resets it to the default.

use std::collections::BTreeSet;
use std::num::NonZeroU32;

use pubky_common::StoragePath;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use crate::wire::account::user_quota::Storage;
use crate::wire::account::{QuotaField, QuotaPatch, UserQuota, WritePaths};

/// No limit, in JSON and in the text of a rate.
pub const UNLIMITED: &str = "unlimited";
/// Bytes of a megabyte, as quotas count.
pub const BYTES_PER_MB: u64 = 1024 * 1024;
/// Longest text of a rate, in bytes.
const RATE_BYTES_MAX: usize = 32;
/// Most KiB that a rate may name: it is kept in 32 bits.
const RATE_KIB_MAX: u64 = u32::MAX as u64;
/// Largest burst, in the rate's unit.
const BURST_MAX: u32 = i32::MAX as u32;
/// Most entries of `allowed_write_paths`: every write reads them.
const WRITE_PATHS_MAX: usize = 256;

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

/// A quota as clients write it: the body of `POST /generate_signup_token`, and a user's own overrides. Fields at the
/// default are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaJson {
    #[serde(default, skip_serializing_if = "Limit::is_default")]
    storage_quota_mb: Limit<u64>,
    #[serde(default, skip_serializing_if = "Limit::is_default")]
    rate_read: Limit<Rate>,
    #[serde(default, skip_serializing_if = "Limit::is_default")]
    rate_write: Limit<Rate>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_read_burst: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rate_write_burst: Option<NonZeroU32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    allowed_write_paths: Option<Vec<WritePath>>,
}

impl QuotaJson {
    /// Overrides merged with the defaults: limits are all there, bursts and paths only where they are set.
    pub fn effective(quota: &UserQuota, defaults: &UserQuota) -> Self {
        let burst = |own: Option<u32>, rate: &Option<String>, default: Option<u32>| {
            own.or_else(|| default.filter(|_| rate.is_none()))
        };
        let merged = UserQuota {
            storage: Some(quota.storage.or(defaults.storage).unwrap_or(Storage::StorageUnlimited(true))),
            rate_read: quota.rate_read.clone().or_else(|| defaults.rate_read.clone()).or_else(unlimited),
            rate_write: quota.rate_write.clone().or_else(|| defaults.rate_write.clone()).or_else(unlimited),
            rate_read_burst: burst(quota.rate_read_burst, &quota.rate_read, defaults.rate_read_burst),
            rate_write_burst: burst(quota.rate_write_burst, &quota.rate_write, defaults.rate_write_burst),
            allowed_write_paths: quota.allowed_write_paths.clone(),
        };
        Self::from(&merged)
    }
}

fn unlimited() -> Option<String> {
    Some(UNLIMITED.to_owned())
}

impl From<&UserQuota> for QuotaJson {
    fn from(quota: &UserQuota) -> Self {
        let rate = |rate: &Option<String>| match rate.as_deref() {
            None => Limit::Default,
            Some(UNLIMITED) => Limit::Unlimited,
            Some(rate) => Limit::Value(Rate(rate.to_owned())),
        };
        Self {
            storage_quota_mb: match quota.storage {
                None => Limit::Default,
                Some(Storage::StorageUnlimited(_)) => Limit::Unlimited,
                Some(Storage::StorageMb(mb)) => Limit::Value(mb),
            },
            rate_read: rate(&quota.rate_read),
            rate_write: rate(&quota.rate_write),
            rate_read_burst: quota.rate_read_burst.and_then(NonZeroU32::new),
            rate_write_burst: quota.rate_write_burst.and_then(NonZeroU32::new),
            allowed_write_paths: quota
                .allowed_write_paths
                .as_ref()
                .map(|allowed| allowed.paths.iter().cloned().map(WritePath).collect()),
        }
    }
}

impl From<QuotaJson> for UserQuota {
    fn from(json: QuotaJson) -> Self {
        Self {
            storage: storage(json.storage_quota_mb),
            rate_read: json.rate_read.text(),
            rate_write: json.rate_write.text(),
            rate_read_burst: json.rate_read_burst.map(NonZeroU32::get),
            rate_write_burst: json.rate_write_burst.map(NonZeroU32::get),
            allowed_write_paths: json.allowed_write_paths.map(write_paths),
        }
    }
}

fn storage(limit: Limit<u64>) -> Option<Storage> {
    match limit {
        Limit::Default => None,
        Limit::Unlimited => Some(Storage::StorageUnlimited(true)),
        Limit::Value(mb) => Some(Storage::StorageMb(mb)),
    }
}

fn write_paths(paths: Vec<WritePath>) -> WritePaths {
    WritePaths { paths: paths.into_iter().map(|path| path.0).collect() }
}

/// The body of `PATCH /users/{pubkey}/quota`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PatchJson {
    #[serde(default, deserialize_with = "present")]
    storage_quota_mb: Option<Limit<u64>>,
    #[serde(default, deserialize_with = "present")]
    rate_read: Option<Limit<Rate>>,
    #[serde(default, deserialize_with = "present")]
    rate_write: Option<Limit<Rate>>,
    #[serde(default, deserialize_with = "present")]
    rate_read_burst: Option<Option<NonZeroU32>>,
    #[serde(default, deserialize_with = "present")]
    rate_write_burst: Option<Option<NonZeroU32>>,
    #[serde(default, deserialize_with = "present")]
    allowed_write_paths: Option<Option<Vec<WritePath>>>,
}

/// Tells a field that is `null` from one that is absent.
fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

impl From<PatchJson> for QuotaPatch {
    fn from(json: PatchJson) -> Self {
        let resets = [
            (QuotaField::Storage, json.storage_quota_mb.as_ref().is_some_and(Limit::is_default)),
            (QuotaField::RateRead, json.rate_read.as_ref().is_some_and(Limit::is_default)),
            (QuotaField::RateWrite, json.rate_write.as_ref().is_some_and(Limit::is_default)),
            (QuotaField::RateReadBurst, json.rate_read_burst == Some(None)),
            (QuotaField::RateWriteBurst, json.rate_write_burst == Some(None)),
            (QuotaField::AllowedWritePaths, json.allowed_write_paths == Some(None)),
        ];
        let set = UserQuota {
            storage: json.storage_quota_mb.and_then(storage),
            rate_read: json.rate_read.and_then(Limit::text),
            rate_write: json.rate_write.and_then(Limit::text),
            rate_read_burst: json.rate_read_burst.flatten().map(NonZeroU32::get),
            rate_write_burst: json.rate_write_burst.flatten().map(NonZeroU32::get),
            allowed_write_paths: json.allowed_write_paths.flatten().map(write_paths),
        };
        Self {
            set: Some(set),
            reset: resets
                .into_iter()
                .filter(|(_, is_reset)| *is_reset)
                .map(|(field, _)| field.into())
                .collect(),
        }
    }
}

/// One limit of a quota.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Limit<T> {
    #[default]
    Default,
    Unlimited,
    Value(T),
}

impl<T> Limit<T> {
    fn is_default(&self) -> bool {
        matches!(self, Self::Default)
    }
}

impl Limit<Rate> {
    fn text(self) -> Option<String> {
        match self {
            Self::Default => None,
            Self::Unlimited => unlimited(),
            Self::Value(rate) => Some(rate.0),
        }
    }
}

impl<T: Serialize> Serialize for Limit<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Default => serializer.serialize_none(),
            Self::Unlimited => serializer.serialize_str(UNLIMITED),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            serde_json::Value::Null => Ok(Self::Default),
            serde_json::Value::String(text) if text == UNLIMITED => Ok(Self::Unlimited),
            value => serde_json::from_value(value).map(Self::Value).map_err(D::Error::custom),
        }
    }
}

/// A bandwidth, `<number><kb|mb|gb>/<s|m|h|d>`, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct Rate(String);

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let invalid =
            || format!("\"{text}\" is no rate such as \"10mb/s\": a number, kb, mb or gb, and s, m, h or d");
        let lower = text.to_ascii_lowercase();
        let (amount, time) = lower.split_once('/').ok_or_else(invalid)?;
        let digits = amount.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = amount.split_at(digits);
        let number: NonZeroU32 = number.parse().map_err(|_| invalid())?;
        let kib = match unit {
            "kb" => 1,
            "mb" => 1024,
            "gb" => 1024 * 1024,
            _ => return Err(invalid()),
        };
        if !matches!(time, "s" | "m" | "h" | "d") || lower.len() > RATE_BYTES_MAX {
            return Err(invalid());
        }
        if u64::from(number.get()) * kib > RATE_KIB_MAX {
            return Err(format!("\"{text}\" is too large: rates end below 4096gb"));
        }
        Ok(Self(format!("{number}{unit}/{time}")))
    }
}

/// A path of `allowed_write_paths`, canonical.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
struct WritePath(String);

impl TryFrom<String> for WritePath {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        StoragePath::normalize(&text)
            .map(|path| Self(path.as_str().to_owned()))
            .map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn quota(json: Value) -> UserQuota {
        serde_json::from_value::<QuotaJson>(json).expect("a quota").into()
    }

    fn patch(json: Value) -> QuotaPatch {
        serde_json::from_value::<PatchJson>(json).expect("a patch").into()
    }

    fn written(quota: &UserQuota) -> Value {
        serde_json::to_value(QuotaJson::from(quota)).expect("json")
    }

    #[test]
    fn a_quota_is_written_as_it_was_read() {
        let full = json!({
            "storage_quota_mb": "unlimited",
            "rate_read": "200mb/m",
            "rate_write": "100kb/d",
            "rate_read_burst": 50,
            "rate_write_burst": 10,
            "allowed_write_paths": ["/pub/tokens/", "/pub/x"],
        });
        assert_eq!(written(&quota(full.clone())), full);
        assert_eq!(written(&quota(json!({"storage_quota_mb": null, "unknown": 1}))), json!({}));
        assert_eq!(written(&quota(json!({"rate_read": "5MB/s"}))), json!({"rate_read": "5mb/s"}));
        assert_eq!(
            quota(json!({"allowed_write_paths": ["/pub//a/./b/"]})).allowed_write_paths.expect("paths").paths,
            ["/pub/a/b/"]
        );
    }

    #[test]
    fn what_is_no_quota_is_refused() {
        let bad = [
            json!({"storage_quota_mb": "much"}),
            json!({"storage_quota_mb": -1}),
            json!({"rate_read": "10"}),
            json!({"rate_read": "0mb/s"}),
            json!({"rate_read": "10r/s"}),
            json!({"rate_read": "4096gb/s"}),
            json!({"rate_read": 5}),
            json!({"rate_read_burst": 0}),
            json!({"allowed_write_paths": ["pub"]}),
        ];
        for json in bad {
            assert!(serde_json::from_value::<QuotaJson>(json.clone()).is_err(), "{json}");
            assert!(serde_json::from_value::<PatchJson>(json.clone()).is_err(), "{json}");
        }
        for json in [
            json!({"rate_read_burst": 5}),
            json!({"rate_read": "unlimited", "rate_read_burst": 5}),
            json!({"rate_read": "1mb/s", "rate_read_burst": 2_147_483_648u32}),
            json!({"allowed_write_paths": ["/"]}),
            json!({"allowed_write_paths": ["/pub/a", "/pub/a"]}),
        ] {
            assert!(check(&quota(json.clone())).is_err(), "{json}");
        }
    }

    #[test]
    fn a_patch_keeps_resets_and_sets() {
        let before = quota(json!({"storage_quota_mb": 5, "rate_read": "1mb/s", "rate_read_burst": 3}));
        let after = |json| merge(&before, &patch(json)).map(|quota| written(&quota));
        assert_eq!(after(json!({})), Ok(written(&before)));
        assert_eq!(
            after(json!({"storage_quota_mb": null})),
            Ok(json!({"rate_read": "1mb/s", "rate_read_burst": 3}))
        );
        assert_eq!(
            after(json!({"storage_quota_mb": 0, "rate_read_burst": null, "allowed_write_paths": []})),
            Ok(json!({"storage_quota_mb": 0, "rate_read": "1mb/s", "allowed_write_paths": []}))
        );
        assert!(after(json!({"rate_read": null})).is_err(), "its burst has no rate any more");
        assert!(after(json!({"rate_read": "unlimited"})).is_err());
    }

    #[test]
    fn effective_limits_are_complete() {
        let defaults = quota(json!({"storage_quota_mb": 100, "rate_read": "10mb/s", "rate_read_burst": 7}));
        let effective =
            |json| serde_json::to_value(QuotaJson::effective(&quota(json), &defaults)).expect("json");
        assert_eq!(
            effective(json!({})),
            json!({"storage_quota_mb": 100, "rate_read": "10mb/s", "rate_write": "unlimited", "rate_read_burst": 7})
        );
        assert_eq!(
            effective(json!({"storage_quota_mb": "unlimited", "rate_read": "1mb/s"})),
            json!({"storage_quota_mb": "unlimited", "rate_read": "1mb/s", "rate_write": "unlimited"}),
            "the default burst belongs to the default rate"
        );
    }

    #[test]
    fn storage_and_paths_are_judged() {
        let mb = |json| storage_bytes(Some(&quota(json)), Some(7));
        assert_eq!((mb(json!({})), mb(json!({"storage_quota_mb": 2}))), (Some(7), Some(2 * BYTES_PER_MB)));
        assert_eq!(mb(json!({"storage_quota_mb": "unlimited"})), None);
        assert_eq!((storage_bytes(None, None), storage_bytes(None, Some(3))), (None, Some(3)));
        let may = |paths: &[&str], path: &str| {
            let quota = quota(json!({ "allowed_write_paths": paths }));
            may_write(Some(&quota), &StoragePath::new(path).expect("canonical"))
        };
        assert!(may_write(None, &StoragePath::new("/pub/a").expect("canonical")));
        assert!(!may(&[], "/pub/a"), "an empty list is read-only");
        assert!(may(&["/pub/app/"], "/pub/app/a/b"));
        assert!(!may(&["/pub/app/"], "/pub/app"));
        assert!(!may(&["/pub/app"], "/pub/app/a"));
        assert!(may(&["/pub/x", "/pub/app"], "/pub/app"));
    }
}
