//! `rowhouse ctl pkarr --left`: users whose newest record names another homeserver, or none.

use rowhouse_gateway::operator::{Operator, UserItem, parse_user};
use rowhouse_gateway::overview::Table;
use rowhouse_proto::wire::account::UserQuota;
use rowhouse_proto::wire::shard::{Account, LeftUser};
use serde::Serialize;

use super::super::acting::refused;
use super::args::PkarrArgs;
use crate::error::Error;

#[derive(Serialize)]
struct Page {
    items: Vec<LeftItem>,
    next_cursor: Option<String>,
}

/// One user who left.
#[derive(Serialize)]
pub struct LeftItem {
    pub pubky: String,
    /// When this cluster saw it, as the admin API writes times.
    pub seen_at: String,
    /// The one that is named; `None`: none is.
    pub homeserver: Option<String>,
    /// Timestamp of the record, in unix microseconds.
    pub signed_us: u64,
}

impl LeftItem {
    pub fn new(left: &LeftUser) -> Self {
        let homeserver = pkarr::PublicKey::try_from(&left.homeserver[..]).ok();
        Self {
            pubky: z32(&left.user),
            seen_at: time(left.at_ms),
            homeserver: homeserver.map(|key| key.to_z32()),
            signed_us: left.signed_us,
        }
    }
}

pub async fn print(operator: &Operator, args: &PkarrArgs) -> Result<(), Error> {
    let after = args.after.as_deref().map(parse_user).transpose().map_err(refused)?;
    let found = operator.left(args.limit.into(), after.as_ref()).await.map_err(refused)?;
    let items: Vec<LeftItem> = found.users.iter().map(LeftItem::new).collect();
    let next_cursor = items.last().filter(|_| found.more).map(|last| last.pubky.clone());
    let page = Page { items, next_cursor };
    args.output.print(|| text(&page), &page)
}

fn text(page: &Page) -> String {
    let mut table = Table::new(["USER", "SEEN", "NOW AT"]);
    for item in &page.items {
        let homeserver = item.homeserver.clone().unwrap_or_else(|| "nowhere".to_owned());
        table.row([item.pubky.clone(), item.seen_at.clone(), homeserver]);
    }
    let more = page.next_cursor.as_ref().map(|next| format!("\nmore: --after {next}\n"));
    format!("{table}{}", more.unwrap_or_default())
}

fn z32(key: &[u8]) -> String {
    pkarr::PublicKey::try_from(key).map(|key| key.to_z32()).unwrap_or_default()
}

/// The admin API has one form of times, that of its accounts.
fn time(at_ms: u64) -> String {
    let account = Account { created_at_ms: at_ms, ..Account::default() };
    UserItem::new(&account, &UserQuota::default()).created_at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_who_left_when_and_where_to() {
        let key = |n| pkarr::Keypair::from_secret_key(&[n; 32]).public_key();
        let left = |homeserver: &[u8]| LeftUser {
            user: key(1).as_bytes().to_vec().into(),
            at_ms: 1_792_663_872_123,
            homeserver: homeserver.to_vec().into(),
            signed_us: 7,
        };
        let items = vec![LeftItem::new(&left(key(2).as_bytes())), LeftItem::new(&left(&[]))];
        let shown = text(&Page { items, next_cursor: Some("x".to_owned()) });
        let row = format!("{}  2026-10-22T10:11:12.123000  {}", key(1).to_z32(), key(2).to_z32());
        assert!(shown.contains(&row), "{shown}");
        assert!(shown.contains("nowhere") && shown.ends_with("more: --after x\n"), "{shown}");
    }
}
