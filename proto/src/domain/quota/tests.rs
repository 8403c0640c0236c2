//! Which quotas are valid, and how they are written, merged and judged.

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
        json!({"allowed_write_paths": (0..4).map(|at| format!("/pub/{at}/{}", "a/".repeat(450))).collect::<Vec<_>>()}),
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
    let effective = |json| serde_json::to_value(QuotaJson::effective(&quota(json), &defaults)).expect("json");
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
