//! The JSON of quotas and of their changes.
//!
//! A field that is absent or `null` is the cluster's default, `"unlimited"` is no limit, and everything else is the limit
//! itself. In a patch an absent field stays, and `null` resets it to the default.

use std::num::NonZeroU32;

use pubky_common::StoragePath;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};

use super::rate::{Rate, UNLIMITED};
use crate::wire::account::user_quota::Storage;
use crate::wire::account::{QuotaField, QuotaPatch, UserQuota, WritePaths};

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
