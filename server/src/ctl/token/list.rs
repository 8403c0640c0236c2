//! `rowhouse ctl token list`.

use rowhouse_gateway::operator::{TokenItem, TokenQuery};
use rowhouse_gateway::overview::Table;
use rowhouse_proto::wire::meta::list_signup_tokens::State;
use serde::Serialize;

use super::super::acting::{operator, refused};
use super::super::args::{Access, Output};
use super::super::quota_flags::in_words;
use crate::error::Error;

/// Flags of `rowhouse ctl token list`.
#[derive(clap::Args, Clone, Debug)]
pub struct ListArgs {
    /// Which tokens.
    #[arg(long, value_enum, default_value_t)]
    pub state: TokenState,
    /// At most so many, up to 1000.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub limit: u32,
    /// Only those after this token: the next page.
    #[arg(long, value_name = "TOKEN")]
    pub after: Option<String>,
    /// Form of what is printed.
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
    #[command(flatten)]
    pub access: Access,
}

/// Tokens by whether somebody has signed up with them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum TokenState {
    #[default]
    All,
    Used,
    Unused,
}

impl From<TokenState> for State {
    fn from(state: TokenState) -> Self {
        match state {
            TokenState::All => Self::All,
            TokenState::Used => Self::Used,
            TokenState::Unused => Self::Unused,
        }
    }
}

/// As `GET /signup_tokens` answers it.
#[derive(Serialize)]
struct Page {
    items: Vec<TokenItem>,
    next_cursor: Option<String>,
}

/// Prints a page of tokens, by their texts.
pub async fn list(args: ListArgs) -> Result<(), Error> {
    let query =
        TokenQuery { state: args.state.into(), limit: args.limit, after: args.after.unwrap_or_default() };
    let page = operator(&args.access, "ctl token list").await?.tokens(&query).await.map_err(refused)?;
    let page = Page { items: page.tokens.iter().map(TokenItem::from).collect(), next_cursor: page.next };
    args.output.print(|| text(&page), &page)
}

fn text(page: &Page) -> String {
    let more = page.next_cursor.as_ref().map(|next| format!("\nmore: --after {next}\n"));
    format!("{}{}", table(&page.items), more.unwrap_or_default())
}

/// A row for each token.
pub fn table(items: &[TokenItem]) -> Table {
    let mut table = Table::new(["TOKEN", "CREATED", "USED", "BY", "QUOTA"]);
    for item in items {
        let or_dash = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
        table.row([
            item.token.clone(),
            item.created_at.clone(),
            or_dash(&item.used_at),
            or_dash(&item.used_by),
            in_words(&item.quota),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use rowhouse_proto::wire::meta::SignupToken;

    #[test]
    fn a_page_says_who_used_what_and_how_to_go_on() {
        let unused = SignupToken { token: "AAAA-BBBB-CCCC".into(), ..SignupToken::default() };
        let used = SignupToken {
            token: "AAAA-BBBB-DDDD".into(),
            used_by: vec![0x3b; 32].into(),
            used_at_ms: 1_792_663_872_123,
            ..SignupToken::default()
        };
        let items = [unused, used].iter().map(TokenItem::from).collect();
        let page = Page { items, next_cursor: Some("AAAA-BBBB-DDDD".into()) };
        let shown = text(&page);
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(
            lines[1],
            "AAAA-BBBB-CCCC  1970-01-01T00:00:00.000000  -                           -   default"
        );
        assert!(lines[2].contains("2026-10-22T10:11:12.123000"), "{}", lines[2]);
        assert_eq!(lines[4], "more: --after AAAA-BBBB-DDDD");
        let json = serde_json::to_value(&page).unwrap();
        assert_eq!(json["items"][0]["used_by"], serde_json::Value::Null);
        assert_eq!(json["next_cursor"], "AAAA-BBBB-DDDD");
    }
}
