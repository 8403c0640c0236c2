//! One replica's part in an upload: which chunks it was given, which it has on disk. No clock and no
//! network here; the stream of its answers is beside it.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use rowhouse_proto::WIRE_VERSION;
use rowhouse_proto::chunks::{Messages, Parcel};
use rowhouse_proto::wire::chunk::{StageReply, StageRequest};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::intake::Chunk;
use crate::cluster::Node;

/// Chunks on their way to a replica: one being written there while the next one travels.
pub const WINDOW: usize = 2;
/// Chunks a replica may owe, those on their way among them: how far it may fall behind the others.
pub const OWED_MAX: usize = 4;

/// The end of a lane's answers, or one of them.
pub enum Event {
    Reply(StageReply),
    Ended(Option<Status>),
}

pub struct Lane {
    pub address: String,
    /// Since when it owes a full window while a majority does not.
    pub behind_since: Option<Instant>,
    group: u32,
    object: Bytes,
    /// In order; the first `sent` of them are on their way.
    owed: VecDeque<Arc<Chunk>>,
    sent: usize,
    /// `None` once the last chunk is on its way.
    requests: Option<mpsc::Sender<Parcel<StageRequest>>>,
    closing: bool,
    replica: Option<u64>,
}

impl Lane {
    /// With the stream of its events, which sends nothing until it is polled.
    pub fn open(node: &Node, group: u32, object: Bytes) -> (Self, BoxStream<'static, Event>) {
        let (requests, queue) = mpsc::channel(WINDOW);
        let lane = Self {
            address: node.address().to_owned(),
            behind_since: None,
            group,
            object,
            owed: VecDeque::new(),
            sent: 0,
            requests: Some(requests),
            closing: false,
            replica: None,
        };
        let mut client = node.chunk();
        let opening = async move { client.stage(requests_of(queue)).await.map(Messages::into_stream) };
        let replies = stream::once(opening).try_flatten().map(|reply| match reply {
            Ok(reply) => Event::Reply(reply.head),
            Err(status) => Event::Ended(Some(status)),
        });
        (lane, replies.chain(stream::iter([Event::Ended(None)])).boxed())
    }

    pub fn has_room(&self) -> bool {
        self.owed.len() < WINDOW
    }

    pub fn may_owe_more(&self) -> bool {
        self.owed.len() < OWED_MAX
    }

    /// Everything is on its disk and nothing more is coming.
    pub fn is_complete(&self) -> bool {
        self.closing && self.owed.is_empty()
    }

    /// Who holds what was acknowledged.
    pub fn holder(&self) -> Option<u64> {
        self.is_complete().then_some(self.replica).flatten()
    }

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
