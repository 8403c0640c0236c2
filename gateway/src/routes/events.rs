//! `GET /events/`: the public events of all users, as indexers poll them (docs/rules/feed.md#a-page-of-events).

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::ErrorCode;
use rowhouse_proto::wire::shard::EventRecord;
use tokio::time::Instant;

use super::list_params::ListParams;
use crate::app::App;
use crate::body::leased;
use crate::feed::{Freshness, Selection, metrics};
use crate::reference_metrics::events_read;
use crate::respond::{Rejection, TEXT, with_body};

const SCHEME: &str = "pubky://";
/// Events of other paths are never told here, whoever asks.
const PUBLIC: &str = "/pub/";

/// `GET /events/`: events after a cursor, and the cursor of the last of them.
pub async fn events(State(app): State<Arc<App>>, request: Request) -> Result<Response, Rejection> {
    let params = ListParams::of(request.uri())?;
    let call = app.call(request.extensions());
    let after = match params.cursor.as_str() {
        "" => 0,
        cursor => app.feed.cursor(&call, cursor.strip_prefix(SCHEME).unwrap_or(cursor)).await?,
    };
    let selection =
        Selection { after, limit: params.limit.into(), paths: vec![PUBLIC.into()], ..Selection::default() };
    let events = match params.limit {
        0 => Vec::new(),
        _ => {
            let began = Instant::now();
            let page = app.feed.page(&call, &selection, Freshness::Acknowledged).await?;
            events_read(began.elapsed());
            page
        }
    };
    let body = render(&events)?;
    let mut lease = app.cluster.admission().bytes();
    lease.grow(body.len())?;
    metrics::events_sent("/events/", events.len());
    Ok(with_body(StatusCode::OK, TEXT, leased(body.into(), lease)))
}

/// One line for each event, decoded, then the cursor of the last one, without a last newline. Nothing for none.
fn render(events: &[EventRecord]) -> Result<String, ErrorCode> {
    let mut names = Names::default();
    let mut body = String::new();
    for event in events {
        let kind = if event.deleted { "DEL" } else { "PUT" };
        body.push_str(kind);
        body.push(' ');
        body.push_str(SCHEME);
        body.push_str(names.of(&event.user)?);
        body.push_str(&event.path);
        body.push('\n');
    }
    if let Some(last) = events.last() {
        write!(body, "cursor: {}", last.id).map_err(|_| ErrorCode::Internal)?;
    }
    Ok(body)
}

/// Keys in z-base-32: a page has few users and many events, and a key is checked when it is read.
#[derive(Default)]
struct Names(BTreeMap<Bytes, String>);

impl Names {
    fn of(&mut self, user: &Bytes) -> Result<&str, ErrorCode> {
        if !self.0.contains_key(user) {
            let key = <&[u8; 32]>::try_from(&user[..]).map_err(|_| ErrorCode::Internal)?;
            let key = pkarr::PublicKey::try_from(key).map_err(|_| ErrorCode::Internal)?;
            self.0.insert(user.clone(), PublicKey::from(key).z32());
        }
        self.0.get(user).map(String::as_str).ok_or(ErrorCode::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn lines_end_in_the_cursor_of_the_last_event_and_without_a_newline() {
        assert_eq!(render(&[]).as_deref(), Ok(""));
        let user = Keypair::from_secret(&[7; 32]).public_key();
        let event = |id, path: &str, deleted| EventRecord {
            id,
            deleted,
            user: user.as_bytes().to_vec().into(),
            path: path.into(),
            ..EventRecord::default()
        };
        let body = render(&[event(4, "/pub/a b", false), event(9, "/pub/%20", true)]).expect("a key");
        let z32 = user.z32();
        assert_eq!(body, format!("PUT pubky://{z32}/pub/a b\nDEL pubky://{z32}/pub/%20\ncursor: 9"));
    }
}
