//! `GET /events/`: the public events of all users, as indexers poll them (docs/rules/feed.md#a-page-of-events).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;
use pubky_common::crypto::PublicKey;
use rowhouse_proto::{ErrorCode, EventRow};
use tokio::time::Instant;

use super::list_params::ListParams;
use crate::app::App;
use crate::body::leased;
use crate::feed::{Freshness, Selection, metrics};
use crate::reference_metrics::events_read;
use crate::respond::{Rejection, TEXT, with_body};

const SCHEME: &str = "pubky://";
/// A line without its path: the kind, the scheme, a key in z-base-32 and the break.
const LINE_BYTES: usize = 4 + 8 + 52 + 1;
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
fn render(events: &[EventRow]) -> Result<Vec<u8>, ErrorCode> {
    let mut names = Names::default();
    let mut body = Vec::with_capacity(events.iter().map(|event| event.path().len() + LINE_BYTES).sum());
    for event in events {
        let kind: &[u8] = if event.is_deleted() { b"DEL " } else { b"PUT " };
        let name = names.of(event.user())?.as_bytes();
        for part in [kind, SCHEME.as_bytes(), name, event.path(), b"\n"] {
            body.extend_from_slice(part);
        }
    }
    if let Some(last) = events.last() {
        write!(body, "cursor: {}", last.id()).map_err(|_| ErrorCode::Internal)?;
    }
    Ok(body)
}

/// Keys in z-base-32: a page has few users and many events, and a key is checked when it is read.
#[derive(Default)]
struct Names<'e>(HashMap<&'e [u8], String>);

impl<'e> Names<'e> {
    fn of(&mut self, user: &'e [u8]) -> Result<&str, ErrorCode> {
        match self.0.entry(user) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let key = <&[u8; 32]>::try_from(user).map_err(|_| ErrorCode::Internal)?;
                let key = pkarr::PublicKey::try_from(key).map_err(|_| ErrorCode::Internal)?;
                Ok(new.insert(PublicKey::from(key).z32()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pubky_common::crypto::Keypair;

    #[test]
    fn lines_end_in_the_cursor_of_the_last_event_and_without_a_newline() {
        assert_eq!(render(&[]), Ok(Vec::new()));
        let user = Keypair::from_secret(&[7; 32]).public_key();
        let event = |id, path: &str, hash: &[u8]| {
            let mut rows = Vec::new();
            EventRow::push(&mut rows, id, user.as_bytes(), hash, path.as_bytes()).expect("an event");
            EventRow::take(&mut rows.into()).expect("one").expect("a row")
        };
        let body = render(&[event(4, "/pub/a b", &[0; 32]), event(9, "/pub/%20", &[])]).expect("a key");
        let body = String::from_utf8(body).expect("text");
        let z32 = user.z32();
        assert_eq!(body, format!("PUT pubky://{z32}/pub/a b\nDEL pubky://{z32}/pub/%20\ncursor: 9"));
    }
}
