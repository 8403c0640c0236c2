//! Users and tokens as operators read them, in the JSON of the admin API.

use rowhouse_proto::domain::quota::QuotaJson;
use rowhouse_proto::hex;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::meta::{AuditRecord, SignupToken};
use rowhouse_proto::wire::shard::Account;
use serde::Serialize;

use crate::date::iso;

/// What one user may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuotaItem {
    /// The overrides merged with the cluster's defaults.
    pub effective: QuotaJson,
    /// Only what differs from the defaults.
    pub overrides: QuotaJson,
}

impl QuotaItem {
    /// `own`: the user's overrides.
    pub fn new(own: &UserQuota, defaults: &UserQuota) -> Self {
        Self { effective: QuotaJson::effective(own, defaults), overrides: QuotaJson::from(own) }
    }
}

/// One user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserItem {
    /// The user's key, z-base-32.
    pub pubky: String,
    /// ISO 8601 without an offset, UTC.
    pub created_at: String,
    /// Whether it may put nothing.
    pub disabled: bool,
    /// Bytes it stores, as quotas count.
    pub used_bytes: u64,
    /// What it may use.
    pub quota: QuotaItem,
}

impl UserItem {
    /// The account under the cluster's `defaults`.
    pub fn new(account: &Account, defaults: &UserQuota) -> Self {
        Self {
            pubky: z32(&account.user),
            created_at: iso(account.created_at_ms),
            disabled: account.disabled,
            used_bytes: account.used_bytes,
            quota: QuotaItem::new(&account.quota.clone().unwrap_or_default(), defaults),
        }
    }
}

/// One signup token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenItem {
    /// Its text.
    pub token: String,
    /// ISO 8601 without an offset, UTC.
    pub created_at: String,
    /// As `created_at`; `None` for an unused one.
    pub used_at: Option<String>,
    /// The key of the user who signed up with it, z-base-32.
    pub used_by: Option<String>,
    /// What its user will have or has had at signup, where that differs from the defaults.
    pub quota: QuotaJson,
}

impl From<&SignupToken> for TokenItem {
    fn from(row: &SignupToken) -> Self {
        let is_used = !row.used_by.is_empty();
        Self {
            token: row.token.clone(),
            created_at: iso(row.created_at_ms),
            used_at: is_used.then(|| iso(row.used_at_ms)),
            used_by: is_used.then(|| z32(&row.used_by)),
            quota: QuotaJson::from(&row.quota.clone().unwrap_or_default()),
        }
    }
}

/// One record of what operators changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditItem {
    /// From 1, without gaps.
    pub number: u64,
    /// Hexadecimal. The two records of one change differ in the last bit.
    pub id: String,
    /// ISO 8601 without an offset, UTC.
    pub at: String,
    /// `admin@<address>` through the admin API, `ctl@<certificate or user>` through `rowhouse ctl`.
    pub who: String,
    /// The route or the command.
    pub action: String,
    /// What was changed.
    pub target: String,
    /// Empty: it begins.
    pub result: String,
    /// Hash of the record before, hexadecimal.
    pub previous: String,
    /// Hash of this record, hexadecimal.
    pub hash: String,
}

impl From<&AuditRecord> for AuditItem {
    fn from(record: &AuditRecord) -> Self {
        Self {
            number: record.number,
            id: hex(&record.id),
            at: iso(record.at_ms),
            who: record.who.clone(),
            action: record.action.clone(),
            target: record.target.clone(),
            result: record.result.clone(),
            previous: hex(&record.previous),
            hash: hex(&record.hash),
        }
    }
}

/// A key as people write it; empty for bytes that are none.
fn z32(key: &[u8]) -> String {
    let key = <&[u8; 32]>::try_from(key).ok().and_then(|key| pkarr::PublicKey::try_from(key).ok());
    key.map(|key| key.to_z32()).unwrap_or_default()
}
