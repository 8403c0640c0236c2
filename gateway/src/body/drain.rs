//! Bodies of refused requests: read for a while and thrown away, so that their connection can be used again. A longer
//! body ends its connection (`listen/linger.rs`).

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::BodyExt;

/// Most clients that do not wait for the answer have sent no more than this when they are refused.
const DRAIN_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Time for those bytes: the answer waits for them.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Reads at most 4 MiB for at most 2 s, and keeps nothing.
pub async fn drain(mut body: Body) {
    let discard = async {
        let mut left = DRAIN_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            match left.checked_sub(length) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // Running out of time is as good an end as any.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, discard).await;
}
