//! Connections to one node: a few multiplexed HTTP/2 ones, opened when first used and reopened by
//! themselves.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rowhouse_peer::Dialer;
use rowhouse_proto::RPC_MESSAGE_BYTES_MAX;
use rowhouse_proto::calls::Calls;
use rowhouse_proto::chunks;
use rowhouse_proto::lock::lock;
use rowhouse_proto::wire::feed::feed_client::FeedClient;
use rowhouse_proto::wire::limits::limits_client::LimitsClient;
use rowhouse_proto::wire::meta::NodeInfo;
use rowhouse_proto::wire::meta::meta_client::MetaClient;
use rowhouse_proto::wire::shard::shard_client::ShardClient;
use tokio::time::Instant;
use tonic::transport::Endpoint;

use crate::Error;

/// Two connections keep one lost packet, or one large body, from holding up everything.
const CONNECTIONS: usize = 2;
/// A node that does not accept within this is tried again later; others are asked meanwhile.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A silent connection is probed this often, also while idle, so that a dead machine is noticed before a request is.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// No answer to a probe within this ends the connection.
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(3);
/// Room for sixteen inline bodies in flight on one stream's worth of window.
const STREAM_WINDOW_BYTES: u32 = 1024 * 1024;
/// All streams of one connection together.
const CONNECTION_WINDOW_BYTES: u32 = 8 * 1024 * 1024;
/// A chunk in four frames instead of HTTP/2's smallest 64.
const CHUNK_FRAME_BYTES_MAX: u32 = 256 * 1024;
/// A whole chunk arrives while the one before it is written to a slow client.
const CHUNK_STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024;
/// Larger than all chunks that may be in flight. Room is taken before a chunk is asked for, so a slow client's chunk
/// never holds up another's in this window.
const CHUNK_CONNECTION_WINDOW_BYTES: u32 = 512 * 1024 * 1024;
/// A node stays marked as slow for this long. Without the mark, a disk that hangs would slow every upload.
const LAG_REMEMBERED: Duration = Duration::from_secs(10);
/// A node that gave no answer is tried again so much later at the latest.
const SILENCE_REMEMBERED: Duration = Duration::from_secs(60);
/// Calls waiting for a connection to take them; admission bounds them before.
const BUFFERED_CALLS: usize = 1024;

/// One node and the connections to it.
pub struct Node {
    /// 16 bytes; empty for a seed whose identity is not known yet.
    uuid: Vec<u8>,
    address: String,
    /// The name that its certificate must have; `None` for a seed.
    name: Option<String>,
    connections: Vec<Calls>,
    /// Chunks have a connection of their own: small requests never wait behind large bodies.
    chunks: Calls,
    next: AtomicUsize,
    lagged_at: Mutex<Option<Instant>>,
    silent_since: Mutex<Option<Instant>>,
}

impl Node {
    /// A node of the map.
    pub fn known(info: &NodeInfo, dialer: &Dialer) -> Result<Self, Error> {
        Self::new(&info.node_uuid, &info.address, Some(info.name.clone()), dialer)
    }

    /// Whatever node answers at this address.
    pub fn seed(address: &str, dialer: &Dialer) -> Result<Self, Error> {
        Self::new(&[], address, None, dialer)
    }

    fn new(uuid: &[u8], address: &str, name: Option<String>, dialer: &Dialer) -> Result<Self, Error> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))
            .map_err(|source| Error::NodeAddress { address: address.to_owned(), source })?
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .buffer_size(BUFFERED_CALLS);
        let connect = |_| Calls::outgoing(dialer.connect_lazy(&endpoint, name.as_deref()));
        let connections = (0..CONNECTIONS).map(connect).collect();
        let for_chunks = endpoint
            .clone()
            .max_frame_size(CHUNK_FRAME_BYTES_MAX)
            .initial_stream_window_size(CHUNK_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CHUNK_CONNECTION_WINDOW_BYTES);
        Ok(Self {
            uuid: uuid.to_vec(),
            address: address.to_owned(),
            connections,
            chunks: Calls::outgoing(dialer.connect_lazy(&for_chunks, name.as_deref())),
            name,
            next: AtomicUsize::new(0),
            lagged_at: Mutex::default(),
            silent_since: Mutex::default(),
        })
    }

    /// Whether this is still how the map describes it.
    pub fn is(&self, info: &NodeInfo) -> bool {
        self.address == info.address && self.name.as_deref() == Some(&info.name)
    }

    /// 16 bytes; empty for a seed.
    pub fn uuid(&self) -> &[u8] {
        &self.uuid
    }

    /// `host:port`, as the map or the configuration has it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A client of the shard service, on the next of the connections for small messages.
    pub fn shard(&self) -> ShardClient<Calls> {
        ShardClient::new(self.connection())
            .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
            .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX)
    }

    /// A client of the meta service, on the next of the connections for small messages.
    pub fn meta(&self) -> MetaClient<Calls> {
        MetaClient::new(self.connection()).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
    }

    /// A client of the event feed, on the next of the connections for small messages.
    pub fn feed(&self) -> FeedClient<Calls> {
        FeedClient::new(self.connection()).max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
    }

    /// A client of the limits service, on the next of the connections for small messages.
    pub fn limits(&self) -> LimitsClient<Calls> {
        LimitsClient::new(self.connection())
    }

    /// A client of the chunk service, on the connection for chunks.
    pub fn chunk(&self) -> chunks::Client {
        chunks::Client::new(self.chunks.clone())
    }

    /// Marks the node as slow. Does not extend the mark while it lasts, because slow nodes are given only a short wait.
    pub fn lagged(&self) {
        if !self.is_lagging() {
            *lock(&self.lagged_at) = Some(Instant::now());
        }
    }

    /// Takes the mark away: the node took a whole body in time.
    pub fn caught_up(&self) {
        *lock(&self.lagged_at) = None;
    }

    /// Whether uploads give this node only a short wait.
    pub fn is_lagging(&self) -> bool {
        let lagged_at = *lock(&self.lagged_at);
        lagged_at.is_some_and(|at| at.elapsed() < LAG_REMEMBERED)
    }

    /// Marks the node as one that gave no answer, or takes the mark away.
    pub fn answered(&self, answered: bool) {
        *lock(&self.silent_since) = (!answered).then(Instant::now);
    }

    /// Whether questions that others can answer too go to them first.
    pub fn is_silent(&self) -> bool {
        let silent_since = *lock(&self.silent_since);
        silent_since.is_some_and(|at| at.elapsed() < SILENCE_REMEMBERED)
    }

    fn connection(&self) -> Calls {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.connections[turn % self.connections.len()].clone()
    }
}
