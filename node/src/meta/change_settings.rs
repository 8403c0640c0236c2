//! The operator's settings for the whole cluster: who may sign up, and what a user may use who has no quota of his own.

use rowhouse_proto::domain::quota;
use rowhouse_proto::wire::account::QuotaField;
use rowhouse_proto::wire::command::ChangeSettings;
use rowhouse_raft::Error;
use rowhouse_raft::state::Txn;

use super::bootstrap::check_signup_mode;
use super::commands::{EntryHead, MetaGroupCommand};
use super::{Verdict, tables};

impl MetaGroupCommand for ChangeSettings {
    fn apply(&self, txn: &mut Txn<'_>, entry: EntryHead) -> Result<Verdict, Error> {
        let Some(mut cluster) = tables::cluster(&*txn)? else { return Ok(Verdict::not_initialized()) };
        let mut settings = cluster.settings.clone().unwrap_or_default();
        if let Some(mode) = &self.signup_mode {
            if let Err(why) = check_signup_mode(mode, entry.version) {
                return Ok(Verdict::refused(why));
            }
            settings.signup_mode.clone_from(mode);
        }
        if let Some(patch) = &self.defaults {
            if patch.set.as_ref().is_some_and(|set| set.allowed_write_paths.is_some())
                || patch.reset.contains(&QuotaField::AllowedWritePaths.into())
            {
                return Ok(Verdict::refused("write paths are a user's own, without a default"));
            }
            match quota::merge(&settings.defaults.clone().unwrap_or_default(), patch) {
                Ok(defaults) => settings.defaults = Some(defaults),
                Err(why) => return Ok(Verdict::refused(why)),
            }
        }
        if cluster.settings.as_ref() == Some(&settings) {
            return Ok(Verdict::Unchanged);
        }
        cluster.settings = Some(settings);
        tables::put_cluster(txn, &cluster);
        Ok(Verdict::Changed)
    }
}
