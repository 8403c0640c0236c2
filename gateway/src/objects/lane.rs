//! One replica's part in an upload: which chunks it was given, which it has on disk. No clock and no
//! network here; the stream of its answers is beside it.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use rowhouse_proto::chunks::{Messages, Parcel};
use rowhouse_proto::wire::chunk::{StageReply, StageRequest};
use rowhouse_proto::{CHUNK_BYTES, UPLOAD_WINDOW_BYTES, WIRE_VERSION};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::Status;

use super::intake::Chunk;
use crate::cluster::Node;

/// Chunks on their way to a replica: one being written there while the next one travels.
pub const WINDOW: usize = 2;
/// Chunks a replica may owe, those on their way among them: how far it may fall behind the others.
pub const OWED_MAX: usize = UPLOAD_WINDOW_BYTES as usize / CHUNK_BYTES;

/// One answer of a replica, or the end of its answers.
pub enum Event {
    Reply(StageReply),
    Ended(Option<Status>),
}

/// The chunks that one replica was given and has not acknowledged, and whether it delays the others.
pub struct Lane {
    pub node: Arc<Node>,
    /// Time this replica delayed the others, minus time it did not, never below zero. It stays near zero for a disk
    /// at least half as fast as the majority's.
    pub held_up: Duration,
    /// When the replica was last judged, and whether it delays the others since.
    judged: Option<(Instant, bool)>,
    group: u32,
    object: Bytes,
    /// In order; the first `sent` of them are on their way.
    owed: VecDeque<Arc<Chunk>>,
    sent: usize,
    /// `None` once the last chunk is on its way.
    requests: Option<mpsc::Sender<Parcel<StageRequest>>>,
    closing: bool,
    replica: Option<u64>,
    /// Dropped with the lane: the stream of events ends then, and with it the call.
    _alive: Option<oneshot::Sender<Infallible>>,
}

impl Lane {
    /// With the stream of its events, which sends nothing until it is polled.
    pub fn open(node: &Arc<Node>, group: u32, object: Bytes) -> (Self, BoxStream<'static, Event>) {
        let (mut lane, queue) = Self::new(Arc::clone(node), group, object);
        let (alive, gone) = oneshot::channel();
        lane._alive = Some(alive);
        let mut client = node.chunk();
        let opening = async move { client.stage(requests_of(queue)).await.map(Messages::into_stream) };
        let replies = stream::once(opening).try_flatten().map(|reply| match reply {
            Ok(reply) => Event::Reply(reply.head),
            Err(status) => Event::Ended(Some(status)),
        });
        (lane, replies.chain(stream::iter([Event::Ended(None)])).take_until(gone).boxed())
    }

    /// With the queue of what it sends.
    pub fn new(node: Arc<Node>, group: u32, object: Bytes) -> (Self, mpsc::Receiver<Parcel<StageRequest>>) {
        let (requests, queue) = mpsc::channel(WINDOW);
        let lane = Self {
            node,
            held_up: Duration::ZERO,
            judged: None,
            group,
            object,
            owed: VecDeque::new(),
            sent: 0,
            requests: Some(requests),
            closing: false,
            replica: None,
            _alive: None,
        };
        (lane, queue)
    }

    /// Whether another chunk could be sent at once.
    pub fn has_room(&self) -> bool {
        self.owed.len() < WINDOW
    }

    /// Every chunk that was offered is on the replica's disk.
    pub fn owes_nothing(&self) -> bool {
        self.owed.is_empty()
    }

    /// Whether another chunk may be offered: fewer than `OWED_MAX` are owed.
    pub fn may_owe_more(&self) -> bool {
        self.owed.len() < OWED_MAX
    }

    /// From now on it keeps the others waiting, or does not.
    pub fn judge(&mut self, now: Instant, holds_up: bool) {
        if let Some((since, held_up)) = self.judged {
            let spell = now - since;
            self.held_up = if held_up { self.held_up + spell } else { self.held_up.saturating_sub(spell) };
        }
        self.judged = Some((now, holds_up));
    }

    /// Whether the last judgement was that it delays the others.
    pub fn holds_up(&self) -> bool {
        self.judged.is_some_and(|(_, holds_up)| holds_up)
    }

    /// Everything is on its disk and nothing more is coming.
    pub fn is_complete(&self) -> bool {
        self.closing && self.owes_nothing()
    }

    /// Who holds what was acknowledged.
    pub fn holder(&self) -> Option<u64> {
        self.is_complete().then_some(self.replica).flatten()
    }

    /// Adds a chunk, and sends it once the window has room.
    pub fn offer(&mut self, chunk: Arc<Chunk>) {
        self.owed.push_back(chunk);
        self.pump();
    }

    /// No chunk follows.
    pub fn close(&mut self) {
        self.closing = true;
        self.pump();
    }

    /// `false`: not an answer to what it was sent.
    #[must_use]
    pub fn acknowledge(&mut self, reply: StageReply) -> bool {
        let expected = (self.sent > 0).then(|| self.owed.front().map(|chunk| chunk.index)).flatten();
        let same_replica = *self.replica.get_or_insert(reply.replica) == reply.replica;
        if expected != Some(reply.index) || !same_replica {
            return false;
        }
        self.owed.pop_front();
        self.sent -= 1;
        self.pump();
        true
    }

    fn pump(&mut self) {
        while self.sent < WINDOW
            && let Some(chunk) = self.owed.get(self.sent)
            && let Some(requests) = &self.requests
        {
            // The queue has a place for each chunk of the window. If its stream has ended, an event says so.
            if requests.try_send(self.request(chunk)).is_err() {
                return;
            }
            self.sent += 1;
        }
        if self.closing && self.sent == self.owed.len() {
            self.requests = None;
        }
    }

    fn request(&self, chunk: &Chunk) -> Parcel<StageRequest> {
        let head = StageRequest {
            version: WIRE_VERSION,
            group: self.group,
            object: self.object.clone(),
            index: chunk.index,
            body: Bytes::new(),
            crc32c: chunk.crc32c,
        };
        Parcel { head, body: chunk.body.clone().into() }
    }
}

fn requests_of(
    queue: mpsc::Receiver<Parcel<StageRequest>>,
) -> impl Stream<Item = Parcel<StageRequest>> + Send + 'static {
    stream::unfold(queue, |mut queue| async { queue.recv().await.map(|request| (request, queue)) })
}
