//! `GET /events-stream` of the operator: all events in one order, private ones too.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::StatusCode;

use super::state::Admin;
use crate::app::App;
use crate::cluster::Call;
use crate::feed::{
    AllPages, Frames, Pace, Selection, StreamBody, StreamParams, batch_body, live_pieces, wire_cursor,
};
use crate::operator::Operator;
use crate::respond::{EVENT_STREAM, Rejection, not_cached, with_body};

/// `GET /events-stream`. An unknown user is refused first, then a cursor that is none.
pub async fn events_stream(
    State(admin): State<Arc<Admin>>,
    operator: Operator,
    request: Request,
) -> Result<Response, Rejection> {
    let app = &admin.app;
    let (params, cursor) = StreamParams::of_operator(request.uri().query().unwrap_or_default())?;
    for user in &params.users {
        operator.user(&user.key).await?;
    }
    let call = app.call(request.extensions());
    let after = match cursor {
        Some(cursor) => Some(app.feed.cursor(&call, &cursor).await?),
        None => None,
    };
    let body = body(app, call, &params, after).await?;
    Ok(not_cached(with_body(StatusCode::OK, EVENT_STREAM, body)))
}

async fn body(
    app: &Arc<App>,
    call: Call,
    params: &StreamParams,
    after: Option<u64>,
) -> Result<Body, Rejection> {
    let users = params.users.iter().map(|user| user.key.clone()).collect();
    let paths = params.paths.iter().map(|path| path.as_str().to_owned()).collect();
    let after = wire_cursor(after, params.reverse);
    let selection = Selection { after, limit: 0, users, paths, reverse: params.reverse };
    let follow = Arc::clone(&app.follow);
    // Before the first read, so that nothing falls between it and the news.
    let listening = params.live.then(|| follow.listen_everywhere());
    let pages = AllPages::new(Arc::clone(&app.feed), Arc::clone(&app.cluster), call, selection);
    let mut frames = Frames::new(pages, params.limit);
    frames.read().await?;
    let Some(listening) = listening else { return Ok(batch_body(frames)) };
    let (stop, patience) = (follow.stop.clone(), app.limits.write_timeout_s);
    Ok(Body::new(StreamBody::live(live_pieces(frames, follow, listening, Pace::OPERATOR), stop, patience)))
}
