//! Asks storage nodes directly: what they hold, how far they are, what their event logs say.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pubky_common::crypto::PublicKey;
use rowhouse_peer::{CertificateFiles, Certificates, Dialer};
use rowhouse_proto::wire::chunk::FetchRequest;
use rowhouse_proto::wire::chunk::chunk_client::ChunkClient;
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::meta::operate_request::Wish;
use rowhouse_proto::wire::meta::{
    ClusterMap, NodeStatusReply, NodeStatusRequest, OperateReply, OperateRequest, WatchMapRequest,
};
use rowhouse_proto::wire::shard::shard_client::ShardClient;
use rowhouse_proto::wire::shard::{
    Entry, EventPage, ExecuteRequest, ListEvents, QueryRequest, ReadEntry, execute_reply, execute_request,
    query_reply, query_request,
};
use rowhouse_proto::{CHUNK_BYTES, ErrorCode, RPC_MESSAGE_BYTES_MAX, WIRE_VERSION};
use tonic::transport::{Channel, Endpoint};

use crate::error::Error;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Who may ask for a status, and who for the contents of shards.
const OPERATOR: &str = "operator";
const GATEWAY: &str = "gateway-1";
/// A scan of all groups reads everything a node holds.
const CALL_TIMEOUT: Duration = Duration::from_secs(60);

/// A client of one node's operator RPCs.
#[derive(Clone, Debug)]
pub struct NodeClient {
    pub name: String,
    operator: Channel,
    gateway: Channel,
}

impl NodeClient {
    /// `certs` is the folder of the cluster's certificates, if it has any.
    pub fn new(name: &str, address: SocketAddr, certs: Option<&Path>) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let endpoint = endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).tcp_nodelay(true);
        let channel = |shown: &str| -> Result<Channel, Error> {
            let files = certs.map(|certs| CertificateFiles::in_folder(certs, shown));
            let opened = files.map(Certificates::open).transpose();
            let opened = opened.map_err(|error| Error::Cluster(error.to_string()))?;
            Ok(Dialer::new(opened.map(Arc::new)).connect_lazy(&endpoint, Some(name)))
        };
        Ok(Self { name: name.to_owned(), operator: channel(OPERATOR)?, gateway: channel(GATEWAY)? })
    }

    /// `scan`: with a hash over each group's whole content.
    pub async fn status(&self, scan: bool) -> Result<NodeStatusReply, Error> {
        let request = NodeStatusRequest { version: WIRE_VERSION, scan };
        Ok(MetaClient::new(self.operator.clone()).node_status(request).await?.into_inner())
    }

    /// The cluster's map as this node has it.
    pub async fn map(&self) -> Result<ClusterMap, Error> {
        let request = WatchMapRequest { version: WIRE_VERSION, changes: false };
        let client = MetaClient::new(self.operator.clone());
        let mut client = client.max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        let first = client.watch_map(request).await?.into_inner().message().await?;
        first.ok_or_else(|| Error::Answer(format!("{} sent no map", self.name)))
    }

    /// Tells this node an operator's wish. Only the one that leads the meta group grants it.
    pub async fn operate(&self, cluster_id: &[u8], wish: Wish) -> Result<OperateReply, Error> {
        let cluster_id = cluster_id.to_vec().into();
        let request = OperateRequest { version: WIRE_VERSION, cluster_id, wish: Some(wish) };
        Ok(MetaClient::new(self.operator.clone()).operate(request).await?.into_inner())
    }

    /// A public file, if this node leads its shard: `None` if it does not, `Some(None)` without such a file.
    pub async fn entry(
        &self,
        shard: u32,
        user: &PublicKey,
        path: &str,
    ) -> Result<Option<Option<Entry>>, Error> {
        let read = ReadEntry {
            tenant: user.as_bytes().to_vec().into(),
            path: path.to_owned(),
            head: true,
            ..ReadEntry::default()
        };
        match self.query(shard, query_request::Op::ReadEntry(read)).await? {
            Some(query_reply::Result::Entry(entry)) => Ok(Some(Some(entry))),
            Some(query_reply::Result::Failure(failure)) if failure.code == ErrorCode::NotFound.number() => {
                Ok(Some(None))
            }
            Some(query_reply::Result::Failure(failure)) if failure.code <= 2 => Ok(None),
            other => Err(Error::Answer(format!("{path} in shard {shard}: {other:?}"))),
        }
    }

    /// BLAKE3 of an object as this node has it, leader or not.
    pub async fn object_hash(&self, shard: u32, object: &[u8], length: u64) -> Result<[u8; 32], Error> {
        let request = FetchRequest {
            version: WIRE_VERSION,
            group: shard,
            object: object.to_vec().into(),
            from: 0,
            to: u32::try_from(length.div_ceil(CHUNK_BYTES as u64)).unwrap_or(u32::MAX),
            ..FetchRequest::default()
        };
        let mut client =
            ChunkClient::new(self.gateway.clone()).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        let mut chunks = client.fetch(request).await?.into_inner();
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = chunks.message().await? {
            hasher.update(&chunk.body);
        }
        Ok(*hasher.finalize().as_bytes())
    }

    async fn query(&self, shard: u32, op: query_request::Op) -> Result<Option<query_reply::Result>, Error> {
        let request =
            QueryRequest { version: WIRE_VERSION, group: shard, op: Some(op), ..QueryRequest::default() };
        let mut client =
            ShardClient::new(self.gateway.clone()).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX);
        Ok(client.query(request).await?.into_inner().result)
    }

    /// Changes a shard, if this node leads it: whether it did.
    pub async fn execute(&self, shard: u32, op: execute_request::Op) -> Result<bool, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let request = ExecuteRequest {
            version: WIRE_VERSION,
            group: shard,
            request_id: rand::random::<[u8; 16]>().to_vec().into(),
            issued_at_us: u64::try_from(now.as_micros()).unwrap_or(u64::MAX),
            op: Some(op),
            ..ExecuteRequest::default()
        };
        match ShardClient::new(self.gateway.clone()).execute(request).await?.into_inner().result {
            Some(execute_reply::Result::Failure(failure)) if failure.code <= 2 => Ok(false),
            Some(execute_reply::Result::Failure(failure)) => {
                Err(Error::Answer(format!("shard {shard} refused: {failure:?}")))
            }
            answer => Ok(answer.is_some()),
        }
    }

    /// Events of a shard this node leads; None when it does not.
    pub async fn events(&self, shard: u32, after: u64, limit: u32) -> Result<Option<EventPage>, Error> {
        let op = query_request::Op::ListEvents(ListEvents { after, limit, ..ListEvents::default() });
        match self.query(shard, op).await? {
            Some(query_reply::Result::EventPage(page)) => Ok(Some(page)),
            Some(query_reply::Result::Failure(failure)) if failure.code <= 2 => Ok(None),
            other => Err(Error::Answer(format!("events of shard {shard}: {other:?}"))),
        }
    }
}
