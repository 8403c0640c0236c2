//! `rowhouse ctl pkarr --user`: what is known of one user's record.

use rowhouse_gateway::operator::{Operator, parse_user};
use serde::Serialize;

use super::super::acting::refused;
use super::super::args::Output;
use super::left::LeftItem;
use crate::error::Error;

#[derive(Serialize)]
struct Item {
    pubky: String,
    /// Whether a record that names this homeserver is kept.
    kept: bool,
    /// Timestamp of the newest record that was seen, in unix microseconds; 0: none was.
    newest_us: u64,
    /// `None`: the user is here.
    left: Option<LeftItem>,
}

pub async fn print(operator: &Operator, user: &str, output: Output) -> Result<(), Error> {
    let key = parse_user(user).map_err(refused)?;
    let packet = operator.packet(&key).await.map_err(refused)?;
    let item = Item {
        pubky: user.to_owned(),
        kept: !packet.packet.is_empty(),
        newest_us: packet.newest_us,
        left: packet.left.as_ref().map(LeftItem::new),
    };
    output.print(|| text(&item), &item)
}

fn text(item: &Item) -> String {
    let state = match (&item.left, item.kept, item.newest_us) {
        (Some(left), ..) => {
            let homeserver = left.homeserver.as_deref().unwrap_or("nowhere");
            format!("left, seen at {}; now at {homeserver}", left.seen_at)
        }
        (None, true, _) => "kept, and published again when the network loses it".to_owned(),
        (None, false, _) => "no record was ever seen".to_owned(),
    };
    format!("user    {}\nrecord  {state}\nsigned  {} µs\n", item.pubky, item.newest_us)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_here_or_left_or_was_never_seen() {
        let item = |kept, newest_us| Item { pubky: "u".into(), kept, newest_us, left: None };
        assert!(text(&item(true, 5)).contains("kept"));
        assert!(text(&item(false, 0)).contains("ever seen"));
    }
}
