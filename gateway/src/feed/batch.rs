//! A stream that ends when its readers have seen what there was. It is read page by page, as the client takes it.

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, Stream};

use super::frames::{Frames, Source};
use super::stream_body::StreamBody;
use crate::reference_metrics::StreamConnection;

/// The body of a stream whose first page was read. One page is sent whole; a longer history is chunked, and an error in
/// it breaks the body off: no client takes a part for all there is.
pub fn batch_body<S: Source>(mut frames: Frames<S>) -> Body {
    let first = frames.next();
    if frames.is_at_end() {
        // It was a connection like any other, and over at once.
        drop(StreamConnection::open());
        return first.map_or_else(Body::empty, Body::from);
    }
    Body::new(StreamBody::batch(pieces(first, frames)))
}

fn pieces<S: Source>(
    first: Option<Bytes>,
    frames: Frames<S>,
) -> impl Stream<Item = Result<Bytes, axum::Error>> + Send + 'static {
    stream::unfold((first, Some(frames)), |(first, frames)| async move {
        let mut frames = frames?;
        if first.is_some() {
            return first.map(|piece| (Ok(piece), (None, Some(frames))));
        }
        loop {
            if let Some(piece) = frames.next() {
                return Some((Ok(piece), (None, Some(frames))));
            }
            if frames.is_at_end() {
                return None;
            }
            // Boxed: a stream that waits for its client keeps no room for a read.
            if let Err(refused) = Box::pin(frames.read()).await {
                return Some((Err(axum::Error::new(refused.code().text())), (None, None)));
            }
        }
    })
}
