//! Chunks of a scripted node, in memory: it takes and serves them as the test says, and counts.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::chunk::chunk_server::{Chunk, ChunkServer};
use rowhouse_proto::wire::chunk::{FetchReply, FetchRequest, StageReply, StageRequest};
use tonic::{Code, Request, Response, Status, Streaming};

/// Room for a chunk and its head.
const MESSAGE_BYTES_MAX: usize = 2 * CHUNK_BYTES;

/// The fate of a chunk that is offered.
#[derive(Clone, Copy, Debug)]
pub enum Staging {
    Take,
    Refuse(Code),
    /// The stream ends without a word.
    EndAt(u32),
    /// Read, and never answered.
    StallAt(u32),
    /// Answered for another chunk.
    Lie,
}

/// The fate of a chunk that is asked for.
#[derive(Clone, Copy, Debug)]
pub enum Fetching {
    Serve,
    RefuseFrom(u32, Code),
    /// One byte is missing.
    ShortenFrom(u32),
    /// As a node of a release that knows no parts of chunks.
    WholeAlways,
}

#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    replica: u64,
    staging: Staging,
    fetching: Fetching,
    chunks: BTreeMap<(Bytes, u32), Bytes>,
    offered: usize,
    asked: Vec<u32>,
    sent: usize,
}

impl Default for Disk {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            replica: 1,
            staging: Staging::Take,
            fetching: Fetching::Serve,
            chunks: BTreeMap::new(),
            offered: 0,
            asked: Vec::new(),
            sent: 0,
        })))
    }
}

impl Disk {
    pub fn belongs_to(&self, replica: u64) {
        self.state().replica = replica;
    }

    pub fn staging(&self, staging: Staging) {
        self.state().staging = staging;
    }

    pub fn fetching(&self, fetching: Fetching) {
        self.state().fetching = fetching;
    }

    pub fn keep(&self, object: &Bytes, body: &Bytes) {
        for (index, start) in (0..body.len()).step_by(CHUNK_BYTES).enumerate() {
            let chunk = body.slice(start..body.len().min(start + CHUNK_BYTES));
            self.keep_chunk(object, u32::try_from(index).expect("small"), chunk);
        }
    }

    pub fn keep_chunk(&self, object: &Bytes, index: u32, chunk: Bytes) {
        self.state().chunks.insert((object.clone(), index), chunk);
    }

    /// The chunks of an object, one after the other.
    pub fn body(&self, object: &Bytes) -> Vec<u8> {
        let state = self.state();
        let of_object = state.chunks.iter().filter(|((of, _), _)| of == object);
        of_object.flat_map(|(_, chunk)| chunk.to_vec()).collect()
    }

    /// Chunks that arrived, taken or not.
    pub fn offered(&self) -> usize {
        self.state().offered
    }

    /// Chunks that were asked for, in order.
    pub fn asked(&self) -> Vec<u32> {
        self.state().asked.clone()
    }

    /// Bytes of chunks that were sent.
    pub fn sent(&self) -> usize {
        self.state().sent
    }

    pub fn service(&self) -> ChunkServer<Self> {
        ChunkServer::new(self.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("disk")
    }

    /// `None`: the stream ends.
    async fn staged(&self, requests: &mut Streaming<StageRequest>) -> Option<Result<StageReply, Status>> {
        loop {
            let request = requests.message().await.ok()??;
            assert_eq!(request.crc32c, crc32c::crc32c(&request.body), "as it was sent");
            let mut state = self.state();
            state.offered += 1;
            let (index, replica) = (request.index, state.replica);
            match state.staging {
                Staging::Refuse(code) => return Some(Err(Status::new(code, "scripted"))),
                Staging::EndAt(at) if index >= at => return None,
                Staging::StallAt(at) if index >= at => {}
                Staging::Lie => return Some(Ok(StageReply { index: index + 1, replica })),
                Staging::Take | Staging::EndAt(_) | Staging::StallAt(_) => {
                    state.chunks.insert((request.object, index), request.body);
                    return Some(Ok(StageReply { index, replica }));
                }
            }
        }
    }

    fn fetched(&self, request: &FetchRequest, index: u32) -> Result<FetchReply, Status> {
        let mut state = self.state();
        state.asked.push(index);
        let missing = || Status::not_found("no such chunk");
        let chunk = state.chunks.get(&(request.object.clone(), index)).cloned().ok_or_else(missing)?;
        let (from, bytes) = (request.part_from as usize, request.part_bytes as usize);
        let part = if bytes == 0 { chunk.clone() } else { chunk.slice(from..from + bytes) };
        let body = match state.fetching {
            Fetching::RefuseFrom(from, code) if index >= from => return Err(Status::new(code, "scripted")),
            Fetching::ShortenFrom(from) if index >= from => part.slice(1..),
            Fetching::WholeAlways => chunk,
            _ => part,
        };
        state.sent += body.len();
        Ok(FetchReply { index, body })
    }
}

type Replies<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Chunk for Disk {
    type StageStream = Replies<StageReply>;
    type FetchStream = Replies<FetchReply>;

    async fn stage(
        &self,
        request: Request<Streaming<StageRequest>>,
    ) -> Result<Response<Self::StageStream>, Status> {
        let start = (self.clone(), request.into_inner());
        let replies = stream::unfold(start, |(disk, mut requests)| async {
            let reply = disk.staged(&mut requests).await?;
            Some((reply, (disk, requests)))
        });
        Ok(Response::new(replies.boxed()))
    }

    async fn fetch(&self, request: Request<FetchRequest>) -> Result<Response<Self::FetchStream>, Status> {
        let (disk, request) = (self.clone(), request.into_inner());
        let chunks = request.from..request.to;
        Ok(Response::new(stream::iter(chunks).map(move |index| disk.fetched(&request, index)).boxed()))
    }
}
