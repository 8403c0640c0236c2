//! Quota objects of the admin API: what is accepted is kept, shown, and accepted again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use rowhouse_proto::domain::quota::{self, PatchJson, QuotaJson};
use rowhouse_proto::wire::account::{QuotaPatch, UserQuota};

fuzz_target!(|data: &[u8]| {
    let Ok(patch) = serde_json::from_slice::<PatchJson>(data) else { return };
    let patch = QuotaPatch::from(patch);
    let Ok(quota) = quota::merge(&UserQuota::default(), &patch) else { return };
    assert_eq!(quota::check(&quota), Ok(()), "what is merged is sound");
    assert_eq!(quota::merge(&quota, &patch).as_ref(), Ok(&quota), "twice is once");
    let shown = serde_json::to_value(QuotaJson::effective(&quota, &UserQuota::default())).expect("JSON");
    let taken = serde_json::from_value::<PatchJson>(shown).expect("what is shown can be sent");
    let again = quota::merge(&UserQuota::default(), &taken.into()).expect("and is sound");
    let effective = |quota| QuotaJson::effective(quota, &UserQuota::default());
    assert_eq!(effective(&again), effective(&quota));
});
