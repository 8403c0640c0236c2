//! Quotas on the command line and in print. Flags become the JSON of the admin API, so that both read alike.

use rowhouse_proto::domain::quota::{PatchJson, QuotaJson, UNLIMITED};
use rowhouse_proto::wire::account::{QuotaPatch, UserQuota};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::error::Error;

/// The word for the cluster's default.
const DEFAULT: &str = "default";
/// The word for a list without entries.
const NONE: &str = "none";

/// Limits of one user, or the default of all.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct LimitFlags {
    /// Megabytes (of 1 048 576 bytes) that may be stored, `unlimited`, or `default`.
    #[arg(long, value_name = "MB")]
    pub storage_mb: Option<String>,
    /// Bandwidth of reads, such as `10mb/s`: a number, kb, mb or gb, and s, m, h or d. Or `unlimited`, or `default`.
    #[arg(long, value_name = "RATE")]
    pub rate_read: Option<String>,
    /// Bandwidth of writes, likewise.
    #[arg(long, value_name = "RATE")]
    pub rate_write: Option<String>,
    /// Burst of reads, in the unit of their rate, or `default`.
    #[arg(long, value_name = "NUMBER")]
    pub rate_read_burst: Option<String>,
    /// Burst of writes, in the unit of their rate, or `default`.
    #[arg(long, value_name = "NUMBER")]
    pub rate_write_burst: Option<String>,
}

/// What one user may use.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct QuotaFlags {
    #[command(flatten)]
    pub limits: LimitFlags,
    /// A path that may be written; one that ends in `/` covers all below it. Once for each; `none`: nothing may be
    /// written, `default`: everything.
    #[arg(long = "write-path", value_name = "PATH")]
    pub write_paths: Vec<String>,
}

impl LimitFlags {
    fn json(&self) -> Map<String, Value> {
        let flags = [
            ("storage_quota_mb", &self.storage_mb),
            ("rate_read", &self.rate_read),
            ("rate_write", &self.rate_write),
            ("rate_read_burst", &self.rate_read_burst),
            ("rate_write_burst", &self.rate_write_burst),
        ];
        let given = flags.into_iter().filter_map(|(field, flag)| Some((field, flag.as_deref()?)));
        given.map(|(field, text)| (field.to_owned(), value(text))).collect()
    }

    /// The change that the flags make; `None` without any. Fails on a value that is none.
    pub fn patch(&self) -> Result<Option<QuotaPatch>, Error> {
        patch(self.json())
    }
}

impl QuotaFlags {
    fn json(&self) -> Map<String, Value> {
        let mut json = self.limits.json();
        let paths = match self.write_paths.as_slice() {
            [] => return json,
            [word] if word == DEFAULT => Value::Null,
            [word] if word == NONE => Value::Array(Vec::new()),
            paths => paths.iter().cloned().map(Value::String).collect(),
        };
        json.insert("allowed_write_paths".to_owned(), paths);
        json
    }

    /// As [`LimitFlags::patch`].
    pub fn patch(&self) -> Result<Option<QuotaPatch>, Error> {
        patch(self.json())
    }

    /// The quota of a user to come. Fails on a value that is none.
    pub fn quota(&self) -> Result<UserQuota, Error> {
        read::<QuotaJson>(self.json()).map(UserQuota::from)
    }
}

fn value(text: &str) -> Value {
    match text {
        DEFAULT => Value::Null,
        UNLIMITED => Value::String(text.to_owned()),
        number => number.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from),
    }
}

fn patch(json: Map<String, Value>) -> Result<Option<QuotaPatch>, Error> {
    if json.is_empty() {
        return Ok(None);
    }
    read::<PatchJson>(json).map(|patch| Some(patch.into()))
}

fn read<T: DeserializeOwned>(json: Map<String, Value>) -> Result<T, Error> {
    // One by one, so that the message can name the flag's field.
    for (field, value) in &json {
        let alone = Map::from_iter([(field.clone(), value.clone())]);
        if let Err(error) = serde_json::from_value::<T>(Value::Object(alone)) {
            return Err(Error::Usage(format!("{field}: {error}")));
        }
    }
    serde_json::from_value(Value::Object(json)).map_err(|error| Error::Usage(error.to_string()))
}

/// A quota in one line: `storage_quota_mb=5, rate_read=10mb/s`, or `default`.
pub fn in_words(quota: &QuotaJson) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(quota) else { return String::new() };
    if fields.is_empty() {
        return DEFAULT.to_owned();
    }
    let words = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Array(paths) if paths.is_empty() => NONE.to_owned(),
        Value::Array(paths) => paths.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    };
    let fields: Vec<String> =
        fields.iter().map(|(field, value)| format!("{field}={}", words(value))).collect();
    fields.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn flags_are_the_fields_of_the_api() {
        let limits = LimitFlags {
            storage_mb: some("5"),
            rate_read: some("10MB/s"),
            rate_write: some("unlimited"),
            rate_read_burst: some("3"),
            rate_write_burst: None,
        };
        let flags = QuotaFlags { limits, write_paths: vec!["/pub/a/".into(), "/pub/b".into()] };
        let words = |flags: &QuotaFlags| in_words(&QuotaJson::from(&flags.quota().unwrap()));
        assert_eq!(
            words(&flags),
            "allowed_write_paths=/pub/a/ /pub/b, rate_read=10mb/s, rate_read_burst=3, rate_write=unlimited, \
             storage_quota_mb=5"
        );
        assert_eq!(words(&QuotaFlags::default()), "default");
        let none = QuotaFlags { write_paths: vec!["none".into()], ..QuotaFlags::default() };
        assert_eq!(words(&none), "allowed_write_paths=none");
        assert_eq!(QuotaFlags::default().patch().unwrap(), None, "nothing to change");
        let reset = LimitFlags { storage_mb: some("default"), ..LimitFlags::default() };
        assert_eq!(reset.patch().unwrap().unwrap().reset.len(), 1);
    }

    #[test]
    fn a_value_that_is_none_is_a_usage_error_that_names_it() {
        for (limits, field) in [
            (LimitFlags { storage_mb: some("much"), ..LimitFlags::default() }, "storage_quota_mb"),
            (LimitFlags { rate_read: some("10"), ..LimitFlags::default() }, "rate_read"),
            (LimitFlags { rate_write_burst: some("0"), ..LimitFlags::default() }, "rate_write_burst"),
        ] {
            let error = limits.patch().unwrap_err();
            assert_eq!(error.exit_code(), crate::error::EXIT_USAGE, "{error}");
            assert!(error.to_string().starts_with(&format!("{field}: ")), "{error}");
        }
    }
}
