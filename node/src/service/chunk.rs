//! The chunk service: takes bodies from gateways, and gives them to whoever reads or lacks them. Whether a replica
//! votes does not matter here: a learner takes chunks, and gives those it has.

use std::convert::Infallible;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use rowhouse_proto::chunks::{FETCH, Messages, Parcel, STAGE, reply};
use rowhouse_proto::wire::chunk::chunk_server::SERVICE_NAME;
use rowhouse_proto::wire::chunk::{FetchReply, FetchRequest, StageReply, StageRequest};
use rowhouse_proto::wire::state::object::State;
use rowhouse_proto::{CHUNK_BYTES, WIRE_VERSION};
use rowhouse_raft::GroupId;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tonic::server::NamedService;
use tower::Service;

use crate::blobs::{ChunkKey, checksum};
use crate::local::Local;
use crate::objects::{Damage, Objects};
use crate::state::objects::{ObjectId, object};
use crate::{Error, Group};

/// Chunks of one stream between the network and the disk: one is written while the next one arrives.
const IN_FLIGHT: usize = 2;
/// Chunks asked for in one call: 64 GiB.
const FETCH_MAX: u32 = 1 << 16;

/// Cheap to clone: every call has its own.
#[derive(Clone)]
pub struct ChunkService {
    local: Arc<Local>,
    objects: Arc<Objects>,
}

impl ChunkService {
    /// Serves the chunks of this node's replicas.
    pub fn new(local: Arc<Local>, objects: Arc<Objects>) -> Self {
        Self { local, objects }
    }

    fn group(&self, version: u32, group: u32) -> Result<Arc<Group>, Status> {
        if version != WIRE_VERSION {
            return Err(Status::failed_precondition("unsupported wire version"));
        }
        self.local.shard(group).ok_or_else(|| Status::unavailable("no replica of this shard here"))
    }

    fn stage(self, body: Body) -> Response<Body> {
        let replies = Messages::of_request(body)
            .into_stream()
            .map_ok(move |chunk| self.clone().store(chunk))
            .try_buffered(IN_FLIGHT);
        reply(replies.map_ok(Parcel::from))
    }

    async fn fetch(self, body: Body) -> Result<Response<Body>, Status> {
        let asked = Messages::<FetchRequest>::of_request(body).next().await?;
        let asked = asked.ok_or_else(|| Status::internal("nothing is asked for"))?;
        let FetchRequest { version, group, object, from, to, part_from, part_bytes } = asked.head;
        let group = self.group(version, group)?;
        let version = object_id(&object)?;
        if to < from || to - from > FETCH_MAX {
            return Err(Status::invalid_argument("too many chunks"));
        }
        let part = (part_bytes > 0).then(|| part_from as usize..part_from as usize + part_bytes as usize);
        if part.as_ref().is_some_and(|part| to - from != 1 || part.end > CHUNK_BYTES) {
            return Err(Status::invalid_argument("a part lies within one chunk"));
        }
        let (id, replica) = (group.id(), group.replica());
        let chunks = futures::stream::iter(from..to)
            .map(move |index| self.clone().load(ChunkKey { replica, version, index }, part.clone(), id))
            .buffered(IN_FLIGHT);
        Ok(reply(chunks))
    }

    async fn store(self, chunk: Parcel<StageRequest>) -> Result<StageReply, Status> {
        let Parcel { head: request, body } = chunk;
        let group = self.group(request.version, request.group)?;
        let id = object_id(&request.object)?;
        if body.is_empty() || body.len() > CHUNK_BYTES {
            return Err(Status::invalid_argument("a chunk has 1 byte to 1 MiB"));
        }
        if checksum(&body) != request.crc32c {
            return Err(Status::data_loss("the chunk was damaged on its way"));
        }
        if self.local.space.is_low() {
            return Err(Status::resource_exhausted("the disk is full"));
        }
        // A replica that is behind has not heard of the object yet: then its row will judge the chunk.
        let row = group.read_latest(|view| object(view, &id)).map_err(internal)?;
        if row.is_some_and(|row| row.state() != State::Staged) {
            return Err(Status::failed_precondition("the upload is over"));
        }
        let key = ChunkKey { replica: group.replica(), version: id, index: request.index };
        self.objects.blobs.put_verified(key, body, request.crc32c).await.map_err(|error| match error {
            Error::NoSpace => Status::resource_exhausted("the disk is full"),
            error => internal(error),
        })?;
        Ok(StageReply { index: request.index, replica: group.replica() })
    }

    /// A chunk, or these bytes of it.
    async fn load(
        self,
        key: ChunkKey,
        part: Option<Range<usize>>,
        group: GroupId,
    ) -> Result<Parcel<FetchReply>, Status> {
        let damage = Damage { replica: key.replica, object: key.version, index: Some(key.index) };
        let loaded = match part {
            None => self.objects.blobs.get(key).await,
            Some(part) => self.objects.blobs.get_part(key, part).await,
        };
        match loaded {
            Ok(Some(body)) => {
                let head = FetchReply { index: key.index, body: Bytes::new() };
                Ok(Parcel { head, body: body.into() })
            }
            Ok(None) => {
                // Perhaps its place in the index is gone, which filling does not see.
                let row = self
                    .local
                    .host
                    .group(group)
                    .map(|group| group.read_latest(|view| object(view, &key.version)));
                if let Some(Ok(Some(row))) = row
                    && row.state() == State::Live
                {
                    self.objects.lacks(damage);
                }
                Err(Status::not_found("the chunk is not here"))
            }
            Err(Error::DamagedChunk(_)) => {
                self.objects.damaged(damage);
                Err(Status::data_loss("the chunk is damaged here"))
            }
            Err(error) => Err(internal(error)),
        }
    }
}

fn object_id(bytes: &[u8]) -> Result<ObjectId, Status> {
    bytes.try_into().map_err(|_| Status::invalid_argument("an object's id has 16 bytes"))
}

fn internal(error: impl std::fmt::Display) -> Status {
    tracing::error!(%error, "chunks cannot be served");
    Status::internal(error.to_string())
}

impl Service<Request<Body>> for ChunkService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let service = self.clone();
        let answer = async move {
            match request.uri().path() {
                STAGE => Ok(service.stage(request.into_body())),
                FETCH => service.fetch(request.into_body()).await,
                _ => Err(Status::unimplemented("no such call")),
            }
        };
        answer.map(|answer| Ok(answer.unwrap_or_else(Status::into_http))).boxed()
    }
}

impl NamedService for ChunkService {
    const NAME: &'static str = SERVICE_NAME;
}
