//! `Wire` over tonic: all links of a node.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rowhouse_peer::Dialer;
use rowhouse_proto::wire::transport::v1::transport_server::TransportServer;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};
use tokio::sync::{Semaphore, oneshot};

use super::identity::Identity;
use super::link::{self, Link};
use super::{Directory, TransportService};
use crate::transport::queue::RPC_BYTES_MAX;
use crate::transport::{Inbox, Lane, LinkError, NodeUuid, Wire};

/// The wire of production. Dropping it closes every link, in and out.
pub struct TonicWire {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) identity: Identity,
    inbox: OnceLock<Weak<dyn Inbox>>,
    /// Dialled by this node.
    links: Mutex<BTreeMap<(NodeUuid, Lane), Arc<Link>>>,
    /// Dialled by peers: the newest of each; dropping its sender ends it.
    accepted: Mutex<BTreeMap<(NodeUuid, Lane), oneshot::Sender<()>>>,
    /// Closed when the node stops. It never has permits.
    stop: Semaphore,
}

impl TonicWire {
    /// With a dialer that has certificates, callers must come with `rowhouse_peer::Caller` among their extensions.
    pub fn new(node: NodeUuid, directory: Arc<dyn Directory>, dialer: Dialer) -> Self {
        let shared = Shared {
            identity: Identity::new(node, directory, dialer),
            inbox: OnceLock::new(),
            links: Mutex::default(),
            accepted: Mutex::default(),
            stop: Semaphore::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The service to mount on this node's gRPC server. Give the server `KEEPALIVE_INTERVAL` and
    /// `KEEPALIVE_TIMEOUT` and TCP_NODELAY.
    pub fn server(&self) -> TransportServer<TransportService> {
        TransportServer::new(TransportService::new(self.shared.clone()))
            .max_decoding_message_size(RPC_BYTES_MAX)
            .max_encoding_message_size(RPC_BYTES_MAX)
    }

    /// Closes every link and makes no new ones, so that a gRPC server that drains is not held up by
    /// streams that never end.
    pub fn shutdown(&self) {
        self.shared.stop.close();
    }
}

impl Drop for TonicWire {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Wire for TonicWire {
    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if self.shared.inbox.set(inbox).is_err() {
            tracing::error!("a wire was attached twice; the first stays");
        }
    }

    fn send(&self, to: NodeUuid, lane: Lane, frame: Frame) -> Result<(), LinkError> {
        if self.shared.stop.is_closed() {
            return Err(LinkError::Down("this node is stopping".to_owned()));
        }
        let link = self.shared.links().entry((to, lane)).or_insert_with(|| Link::new(to, lane)).clone();
        link.send(&self.shared, frame)
    }

    fn send_snapshot(
        &self,
        to: NodeUuid,
        chunks: BoxStream<'static, SnapshotChunk>,
    ) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
        link::snapshot(self.shared.clone(), to, chunks)
    }
}

impl Shared {
    /// `None` while the node starts or after it has stopped.
    pub(super) fn inbox(&self) -> Option<Arc<dyn Inbox>> {
        self.inbox.get()?.upgrade()
    }

    /// Makes a link from `peer` the newest; resolves when it no longer is.
    pub(super) fn claim(&self, peer: NodeUuid, lane: Lane) -> oneshot::Receiver<()> {
        let (sender, superseded) = oneshot::channel();
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        accepted.retain(|_, link| !link.is_closed());
        accepted.insert((peer, lane), sender);
        superseded
    }

    pub(super) fn revive(&self, peer: NodeUuid) {
        for lane in [Lane::Control, Lane::Log] {
            let link = self.links().get(&(peer, lane)).cloned();
            if let Some(link) = link {
                link.revive();
            }
        }
    }

    pub(super) async fn stopped(&self) {
        // Only ever closed.
        let _closed = self.stop.acquire().await;
    }

    fn links(&self) -> MutexGuard<'_, BTreeMap<(NodeUuid, Lane), Arc<Link>>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
