//! The settings of the whole cluster: who may sign up, and what a user may use who has no quota of its own.

use rowhouse_proto::domain::quota::{QuotaJson, merge};
use rowhouse_proto::wire::account::QuotaPatch;
use rowhouse_proto::wire::meta::{
    AccountSettings, ChangeSettings, GetAccountSettings, Settings, meta_execute_request, meta_query_reply,
    meta_query_request,
};
use rowhouse_proto::{ErrorCode, Refusal};

use super::Operator;
use super::confirm::{CONFIRM_TIMEOUT, unconfirmed};

impl Operator {
    /// The settings in force.
    pub async fn settings(&self) -> Result<Settings, Refusal> {
        Ok(self.account_settings().await?.settings.unwrap_or_default())
    }

    /// Changes the signup mode, the default quota, or both; `None` stays. Refused as `SettingRefused`, with the reason,
    /// if a value is invalid.
    ///
    /// Returns once every node goes by the change, or `CONFIRM_TIMEOUT` later with the addresses of those that did not
    /// say so.
    pub async fn change_settings(
        &self,
        signup_mode: Option<String>,
        defaults: Option<QuotaPatch>,
    ) -> Result<Vec<String>, Refusal> {
        let operator = self.clone();
        let target = target(signup_mode.as_deref(), defaults.as_ref());
        let op = meta_execute_request::Op::ChangeSettings(ChangeSettings { signup_mode, defaults });
        self.audited(&target, async move { operator.meta_execute(op).await }).await?;
        let version = self.renewed().account_settings().await?.map_version;
        Ok(unconfirmed(&self.cluster, version, CONFIRM_TIMEOUT).await)
    }

    /// The settings, how many tokens there are, and some of those that are kept for a user.
    pub(super) async fn account_settings(&self) -> Result<AccountSettings, Refusal> {
        let op = meta_query_request::Op::GetAccountSettings(GetAccountSettings {});
        match self.meta_query(op).await? {
            meta_query_reply::Result::AccountSettings(settings) => Ok(settings),
            _ => Err(ErrorCode::Internal.into()),
        }
    }
}

/// What is changed, and to what.
fn target(signup_mode: Option<&str>, defaults: Option<&QuotaPatch>) -> String {
    let mode = signup_mode.map(|mode| format!("signup_mode {mode}"));
    let defaults = defaults.map(|patch| {
        // An invalid patch is refused by the meta group, with the reason.
        let set = merge(&Default::default(), &QuotaPatch { reset: Vec::new(), ..patch.clone() });
        let set = set.ok().and_then(|set| serde_json::to_string(&QuotaJson::from(&set)).ok());
        let reset: Vec<&str> = patch.reset().map(|field| field.as_str_name()).collect();
        match reset.is_empty() {
            true => format!("defaults {}", set.unwrap_or_default()),
            false => format!("defaults {}, reset {}", set.unwrap_or_default(), reset.join(" ")),
        }
    });
    mode.into_iter().chain(defaults).collect::<Vec<String>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::domain::quota::PatchJson;

    #[test]
    fn a_record_tells_what_was_changed_and_to_what() {
        let patch = serde_json::json!({ "storage_quota_mb": 5, "rate_read": null });
        let patch: QuotaPatch = serde_json::from_value::<PatchJson>(patch).expect("a patch").into();
        assert_eq!(
            target(Some("open"), Some(&patch)),
            "signup_mode open; defaults {\"storage_quota_mb\":5}, reset RATE_READ"
        );
        assert_eq!(target(Some("token_required"), None), "signup_mode token_required");
    }
}
