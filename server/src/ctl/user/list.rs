//! `rowhouse ctl user list`.

use rowhouse_gateway::operator::{UserItem, UserQuery, parse_user};
use rowhouse_gateway::overview::Table;
use rowhouse_gateway::overview::units::bytes;
use rowhouse_proto::wire::shard::list_users::{Sort, State};
use serde::Serialize;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::super::quota_flags::in_words;
use crate::error::Error;

/// Flags of `rowhouse ctl user list`.
#[derive(clap::Args, Clone, Debug)]
pub struct ListArgs {
    /// Which users.
    #[arg(long, value_enum, default_value_t)]
    pub state: UserState,
    /// In which order; ties by key.
    #[arg(long, value_enum, default_value_t)]
    pub sort_by: UserSort,
    /// Descending.
    #[arg(long)]
    pub reverse: bool,
    /// At most so many, up to 1000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub limit: u16,
    /// Only those after this user, as it stands now: the next page.
    #[arg(long, value_name = "USER")]
    pub after: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Users by whether they are disabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UserState {
    #[default]
    All,
    Enabled,
    Disabled,
}

impl From<UserState> for State {
    fn from(state: UserState) -> Self {
        match state {
            UserState::All => Self::All,
            UserState::Enabled => Self::Enabled,
            UserState::Disabled => Self::Disabled,
        }
    }
}

/// What users are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum UserSort {
    #[default]
    #[value(name = "created_at", alias = "created-at")]
    CreatedAt,
    #[value(name = "used_bytes", alias = "used-bytes")]
    UsedBytes,
}

impl From<UserSort> for Sort {
    fn from(sort: UserSort) -> Self {
        match sort {
            UserSort::CreatedAt => Self::CreatedAt,
            UserSort::UsedBytes => Self::UsedBytes,
        }
    }
}

/// As `GET /users` answers it.
#[derive(Serialize)]
struct Page {
    items: Vec<UserItem>,
    next_cursor: Option<String>,
}

/// Prints a page of users.
pub async fn list(args: ListArgs) -> Result<(), Error> {
    let query = UserQuery {
        state: args.state.into(),
        sort: args.sort_by.into(),
        reverse: args.reverse,
        limit: args.limit.into(),
        cursor: args.after.as_deref().map(parse_user).transpose().map_err(refused)?,
    };
    let operator = operator(&args.access, "ctl user list").await?;
    let found = operator.users(&query).await.map_err(refused)?;
    let defaults = operator.settings().await.map_err(refused)?.defaults.unwrap_or_default();
    let items: Vec<UserItem> = found.accounts.iter().map(|user| UserItem::new(user, &defaults)).collect();
    let next_cursor = items.last().filter(|_| found.more).map(|last| last.pubky.clone());
    let page = Page { items, next_cursor };
    args.output.print(|| text(&page), &page)
}

fn text(page: &Page) -> String {
    let mut table = Table::new(["USER", "CREATED", "STATE", "USED", "OVERRIDES"]);
    for item in &page.items {
        table.row([
            item.pubky.clone(),
            item.created_at.clone(),
            if item.disabled { "disabled" } else { "enabled" }.to_owned(),
            bytes(item.used_bytes),
            in_words(&item.quota.overrides),
        ]);
    }
    let more = page.next_cursor.as_ref().map(|next| format!("\nmore: --after {next}\n"));
    format!("{table}{}", more.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::account::UserQuota;
    use rowhouse_proto::wire::shard::Account;

    #[test]
    fn a_page_tells_state_usage_and_overrides() {
        let quota = UserQuota { rate_read: Some("1mb/s".into()), ..UserQuota::default() };
        let account = Account {
            user: vec![0x3b; 32].into(),
            created_at_ms: 1_792_663_872_123,
            disabled: true,
            used_bytes: 1536,
            quota: Some(quota),
            ..Account::default()
        };
        let page = Page { items: vec![UserItem::new(&account, &UserQuota::default())], next_cursor: None };
        let shown = text(&page);
        let row = shown.lines().nth(1).unwrap();
        assert!(row.ends_with("2026-10-22T10:11:12.123000  disabled  1.5 KiB  rate_read=1mb/s"), "{row}");
        assert!(!shown.contains("more:"), "{shown}");
        let json = serde_json::to_value(&page).unwrap();
        assert_eq!(json["items"][0]["quota"]["effective"]["rate_write"], "unlimited");
        assert_eq!(json["next_cursor"], serde_json::Value::Null);
    }
}
