//! A large body on its way to its client. It is fetched chunk by chunk, no faster than the client reads: from the
//! replica that answered last, then from the others.

use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use http_body::{Body as HttpBody, Frame, SizeHint};
use rowhouse_proto::chunks::{Parcel, Pieces};
use rowhouse_proto::wire::chunk::FetchRequest;
use rowhouse_proto::{CHUNK_BYTES, ErrorCode, WIRE_VERSION};

use crate::body::leased;
use crate::cluster::{Cluster, Node};

/// Chunks being fetched at once: the next one arrives while one is written to the client.
const AHEAD: usize = 2;
/// For a body at a pace: it holds room for one chunk at a time, because it may hold it for long.
const AHEAD_AT_A_PACE: usize = 1;
/// Asked for one chunk, a replica answers within this or another is asked.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5);
/// Each replica is asked for a chunk this often at most.
const ROUNDS: u32 = 2;
/// Between them: a node that restarts or lost its connection may be back.
const ROUND_PAUSE: Duration = Duration::from_millis(250);

/// Where the chunks of one object are.
pub struct Source {
    cluster: Arc<Cluster>,
    shard: u32,
    object: Bytes,
    length: u64,
    /// Position of the replica to ask first.
    near: AtomicUsize,
    /// For room in memory.
    patience: Duration,
}

impl Source {
    /// The replica last seen leading is asked first: it has just answered for the entry.
    pub fn new(cluster: Arc<Cluster>, shard: u32, object: Bytes, length: u64, patience: Duration) -> Self {
        let leader = cluster.map_now().and_then(|map| map.group(shard)?.leader());
        Self { cluster, shard, object, length, near: AtomicUsize::new(leader.unwrap_or(0)), patience }
    }

    /// The part of a chunk that lies within `range`, a range of the body.
    async fn part(
        &self,
        index: u32,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Bytes> + use<>, ErrorCode> {
        let start = u64::from(index) * CHUNK_BYTES as u64;
        let size = usize_of((self.length - start).min(CHUNK_BYTES as u64));
        let within =
            usize_of(range.start.saturating_sub(start))..usize_of((range.end - start).min(size as u64));
        let part = Part { index, size, within };
        // Room for all of it: a node of the last release does not send parts.
        let mut lease = self.cluster.admission().chunk(size, self.patience).await?;
        let data = self.chunk(&part).await.ok_or(ErrorCode::BodyUnavailable)?;
        lease.keep(data.len());
        let lease = Arc::new(lease);
        Ok(data.into_iter().map(move |data| leased(data, Arc::clone(&lease))))
    }

    async fn chunk(&self, part: &Part) -> Option<Pieces> {
        for round in 0..ROUNDS {
            if round > 0 {
                tokio::time::sleep(ROUND_PAUSE).await;
            }
            // The map of this moment: the shard may have moved since the last chunk.
            let map = self.cluster.map_now()?;
            let places = map.group(self.shard)?.places();
            let near = self.near.load(Ordering::Relaxed);
            for at in (0..places.len()).map(|turn| (near + turn) % places.len()) {
                if let Some(data) = self.fetch(&places[at], part).await {
                    self.near.store(at, Ordering::Relaxed);
                    return Some(data);
                }
            }
        }
        None
    }

    async fn fetch(&self, node: &Node, part: &Part) -> Option<Pieces> {
        let Part { index, size, within } = part;
        let asked_for = if within.len() == *size { 0..0 } else { within.clone() };
        let request = FetchRequest {
            version: WIRE_VERSION,
            group: self.shard,
            object: self.object.clone(),
            from: *index,
            to: index + 1,
            part_from: u32_of(asked_for.start),
            part_bytes: u32_of(asked_for.len()),
        };
        let mut client = node.chunk();
        let asking = async { client.fetch(request).await?.next().await };
        let reply = tokio::time::timeout(FETCH_TIMEOUT, asking)
            .await
            .unwrap_or_else(|_| Err(tonic::Status::deadline_exceeded("no answer in time")));
        let why = match reply {
            Ok(Some(Parcel { head, body })) if head.index == *index && body.len() == within.len() => {
                return Some(body);
            }
            // From a node of the last release.
            Ok(Some(Parcel { head, mut body })) if head.index == *index && body.len() == *size => {
                body.advance(within.start);
                return Some(body.split_to(within.len()));
            }
            Ok(_) => tonic::Status::data_loss("not the chunk that was asked for"),
            Err(status) => status,
        };
        tracing::warn!(shard = self.shard, node = node.address(), index, %why, "a chunk was not fetched");
        None
    }
}

/// What is wanted of one chunk.
struct Part {
    index: u32,
    /// Bytes of the whole chunk.
    size: usize,
    /// Not empty.
    within: Range<usize>,
}

/// A response body of exactly this non-empty range of the object. Its first bytes are here when this
/// returns; if later ones cannot be had, the body breaks. `at_a_pace`: it will be taken slowly.
pub async fn download(source: Source, range: Range<u64>, at_a_pace: bool) -> Result<Body, ErrorCode> {
    let left = range.end - range.start;
    let ahead = if at_a_pace { AHEAD_AT_A_PACE } else { AHEAD };
    let mut parts = Box::pin(parts(source, range, ahead));
    let first = parts.next().await.unwrap_or(Err(ErrorCode::Internal))?;
    let parts = stream::iter([Ok(first)]).chain(parts).boxed();
    Ok(Body::new(Exact { parts, left }))
}

fn parts(
    source: Source,
    range: Range<u64>,
    ahead: usize,
) -> impl Stream<Item = Result<Bytes, ErrorCode>> + Send {
    let index_of = |position: u64| u32::try_from(position / CHUNK_BYTES as u64).unwrap_or(u32::MAX);
    let source = Arc::new(source);
    stream::iter(index_of(range.start)..=index_of(range.end - 1))
        .map(move |index| {
            let (source, range) = (Arc::clone(&source), range.clone());
            async move { source.part(index, range).await }
        })
        .buffered(ahead)
        .map_ok(|pieces| stream::iter(pieces.map(Ok)))
        .try_flatten()
}

/// Converts a count of bytes that is at most a chunk.
fn usize_of(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(CHUNK_BYTES)
}

/// Converts a count of bytes that is at most a chunk.
fn u32_of(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// A body whose length is known: it has all of it, or it breaks.
struct Exact {
    parts: BoxStream<'static, Result<Bytes, ErrorCode>>,
    left: u64,
}

impl HttpBody for Exact {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let part = match ready!(self.parts.poll_next_unpin(cx)) {
            Some(Ok(part)) => part,
            Some(Err(code)) => return Poll::Ready(Some(Err(axum::Error::new(code.text())))),
            None => return Poll::Ready(Some(Err(axum::Error::new("the body ends early")))),
        };
        self.left = self.left.saturating_sub(part.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
