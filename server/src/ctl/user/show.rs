//! `rowhouse ctl user show`.

use rowhouse_gateway::operator::{Operator, UserItem, parse_user};
use rowhouse_gateway::overview::units::bytes;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::super::quota_flags::in_words;
use crate::error::Error;

/// Flags of `rowhouse ctl user show`.
#[derive(clap::Args, Clone, Debug)]
pub struct ShowArgs {
    /// The user's public key, z-base-32.
    #[arg(value_name = "USER")]
    pub user: String,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Prints one user. Fails for one that does not exist.
pub async fn show(args: ShowArgs) -> Result<(), Error> {
    let operator = operator(&args.access, "ctl user show").await?;
    let item = item(&operator, &args.user).await?;
    args.output.print(|| text(&item), &item)
}

/// The user as the admin API shows it.
pub async fn item(operator: &Operator, user: &str) -> Result<UserItem, Error> {
    let account = operator.user(&parse_user(user).map_err(refused)?).await.map_err(refused)?;
    let defaults = operator.settings().await.map_err(refused)?.defaults.unwrap_or_default();
    Ok(UserItem::new(&account, &defaults))
}

fn text(item: &UserItem) -> String {
    format!(
        "user       {}\ncreated    {}\nstate      {}\nused       {}\nquota      {}\noverrides  {}\n",
        item.pubky,
        item.created_at,
        if item.disabled { "disabled" } else { "enabled" },
        bytes(item.used_bytes),
        in_words(&item.quota.effective),
        in_words(&item.quota.overrides),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::account::UserQuota;
    use rowhouse_proto::wire::shard::Account;

    #[test]
    fn one_user_is_told_line_by_line() {
        let account = Account { user: vec![0x3b; 32].into(), used_bytes: 5, ..Account::default() };
        let shown = text(&UserItem::new(&account, &UserQuota::default()));
        assert!(shown.contains("state      enabled\nused       5 B\n"), "{shown}");
        assert!(
            shown.contains(
                "quota      rate_read=unlimited, rate_write=unlimited, storage_quota_mb=unlimited\n"
            )
        );
        assert!(shown.ends_with("overrides  default\n"), "{shown}");
    }
}
