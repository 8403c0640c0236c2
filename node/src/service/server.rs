//! The node's one gRPC listener.

use std::sync::Arc;
use std::time::Duration;

use rowhouse_peer::{ACCEPTED_AHEAD, Certificates, accept_callers};
use rowhouse_proto::RPC_MESSAGE_BYTES_MAX;
use rowhouse_proto::calls::MeasureCalls;
use rowhouse_proto::wire::feed::feed_server::FeedServer;
use rowhouse_proto::wire::limits::limits_server::LimitsServer;
use rowhouse_proto::wire::meta::meta_server::MetaServer;
use rowhouse_proto::wire::shard::shard_server::ShardServer;
use rowhouse_raft::transport::{KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, TransportServer, TransportService};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Server;

use super::roles::RolesLayer;
use super::{ChunkService, FeedService, LimitsService, MetaService, ShardService};
use crate::Error;

/// Calls in flight on one connection: a gateway's whole load runs over a few; more wait in HTTP/2.
const STREAMS_PER_CONNECTION_MAX: u32 = 2_048;
/// A chunk in four frames instead of HTTP/2's smallest 64; others wait for no more than one of them.
const FRAME_BYTES_MAX: u32 = 256 * 1024;
/// Two chunks of one upload, or any number of inline bodies, need no window update on their way.
const STREAM_WINDOW_BYTES: u32 = 2 * 1024 * 1024 + 64 * 1024;
/// A connection carries many streams.
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;
/// How long calls in flight get to end once the node stops.
const DRAIN_DEADLINE: Duration = Duration::from_secs(5);

/// Everything that one listener of a node serves.
pub struct Services {
    /// Reads and writes of clients' data.
    pub shard: ShardService,
    /// Clocks, pages and marks of the event feed.
    pub feed: FeedService,
    /// The cluster map, announcements, status and draining.
    pub meta: MetaService,
    /// Buckets of the groups that this node leads.
    pub limits: LimitsService,
    /// Chunks of large bodies.
    pub chunk: ChunkService,
    /// Raft messages between nodes.
    pub transport: TransportServer<TransportService>,
    /// Demanded of every caller, if there are any.
    pub certificates: Option<Arc<Certificates>>,
}

/// Serves until `stop` is cancelled, then gives calls in flight `DRAIN_DEADLINE` to end. Fails if serving breaks.
pub async fn serve(listener: TcpListener, services: Services, stop: CancellationToken) -> Result<(), Error> {
    let (ready, accepted) = mpsc::channel(ACCEPTED_AHEAD);
    let incoming = ReceiverStream::new(accepted).map(Ok::<_, std::io::Error>);
    let shard = ShardServer::new(services.shard)
        .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX);
    let meta = MetaServer::new(services.meta)
        .max_decoding_message_size(RPC_MESSAGE_BYTES_MAX)
        .max_encoding_message_size(RPC_MESSAGE_BYTES_MAX);
    let stopping = stop.clone();
    let serving = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .max_concurrent_streams(Some(STREAMS_PER_CONNECTION_MAX))
        .max_frame_size(Some(FRAME_BYTES_MAX))
        .initial_stream_window_size(Some(STREAM_WINDOW_BYTES))
        .initial_connection_window_size(Some(CONNECTION_WINDOW_BYTES))
        .layer(MeasureCalls)
        .layer(RolesLayer::new(services.certificates.is_some()))
        .add_service(services.transport)
        .add_service(shard)
        .add_service(FeedServer::new(services.feed).max_encoding_message_size(RPC_MESSAGE_BYTES_MAX))
        .add_service(meta)
        .add_service(LimitsServer::new(services.limits))
        .add_service(services.chunk)
        .serve_with_incoming_shutdown(incoming, async move { stopping.cancelled().await });
    // Accepting ends at once when the node stops, so that a caller is refused and turns to another node. It also ends
    // with serving, which drops the other end of the channel.
    let accepting = stop.run_until_cancelled(accept_callers(listener, services.certificates, ready));
    let serving = async { tokio::join!(serving, accepting).0 };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_DEADLINE).await;
    };
    tokio::select! {
        result = serving => result.map_err(|error| Error::io("gRPC listener", std::io::Error::other(error))),
        () = overdue => Ok(()),
    }
}
