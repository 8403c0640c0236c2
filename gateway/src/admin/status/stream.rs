//! `GET /status/events`: the present once a second, as server-sent events, until the viewer leaves or the gateway
//! stops.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream::unfold;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::super::state::Admin;
use super::board::LOOK_EVERY;
use crate::respond::{EVENT_STREAM, TEXT_UTF8, with_body, with_header};

/// Browsers connect again so long after a stream broke.
const RECONNECT: Duration = Duration::from_secs(2);
/// Windows are closed by people: coming back sooner is of little use.
const FULL_RETRY: HeaderValue = HeaderValue::from_static("10");

/// One viewer's stream.
struct Viewer {
    admin: Arc<Admin>,
    stop: CancellationToken,
    /// Of the map.
    part: usize,
    /// When it is told next; `None`: nothing was told yet.
    due: Option<Instant>,
    /// Its place among the viewers.
    _place: OwnedSemaphorePermit,
}

/// What a viewer wants to see.
#[derive(Deserialize)]
pub struct Wanted {
    /// Part of the map, counted from 0.
    #[serde(default)]
    part: usize,
}

/// Answers 503 where there are as many viewers as may be, and 400 to a part that is no number.
pub async fn events(State(admin): State<Arc<Admin>>, Query(wanted): Query<Wanted>) -> Response {
    let Some(place) = admin.board.enter() else {
        let full =
            with_body(StatusCode::SERVICE_UNAVAILABLE, TEXT_UTF8, "Too many viewers of the status page");
        return with_header(full, RETRY_AFTER, FULL_RETRY);
    };
    let stop = admin.app.follow.stop.clone();
    let viewer = Viewer { admin, stop, part: wanted.part, due: None, _place: place };
    let body = Body::from_stream(unfold(viewer, async |mut viewer| {
        let event = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(event), viewer))
    }));
    with_body(StatusCode::OK, EVENT_STREAM, body).into_response()
}

impl Viewer {
    /// `None` once the gateway stops.
    async fn next(&mut self) -> Option<Bytes> {
        let Some(due) = self.due else {
            self.due = Some(Instant::now());
            return Some(Bytes::from(format!("retry: {}\n\n", RECONNECT.as_millis())));
        };
        let told = async {
            sleep_until(due).await;
            self.admin.board.event(self.part).await
        };
        let event = tokio::select! {
            () = self.stop.cancelled() => return None,
            event = told => event,
        };
        // A viewer that was slow to take the last one does not get the ones between.
        self.due = Some((due + LOOK_EVERY).max(Instant::now()));
        Some(event)
    }
}
