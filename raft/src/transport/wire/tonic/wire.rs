//! `Wire` over tonic: all links of a node.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use openraft::AsyncRuntime;
use rowhouse_peer::Dialer;
use rowhouse_proto::wire::transport::v1::transport_server::TransportServer;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::identity::Identity;
use super::shared::Shared;
use super::{Directory, TransportService, session};
use crate::runtime::Production;
use crate::transport::wire::queue::RPC_BYTES_MAX;
use crate::transport::{Inbox, Lane, LinkError, NodeUuid, Wire};

/// The wire of production. Dropping it closes every link, in and out.
pub struct TonicWire {
    shared: Arc<Shared>,
}

impl TonicWire {
    /// With a dialer that has certificates, callers must come with `rowhouse_peer::Caller` among their extensions.
    pub fn new(node: NodeUuid, directory: Arc<dyn Directory>, dialer: Dialer) -> Self {
        Self { shared: Arc::new(Shared::new(Identity::new(node, directory, dialer))) }
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
        self.shared.stop();
    }
}

impl Drop for TonicWire {
    fn drop(&mut self) {
        self.shutdown();
    }
}

impl Wire for TonicWire {
    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if !self.shared.attach(inbox) {
            tracing::error!("a wire was attached twice; the first stays");
        }
    }

    fn send(&self, to: NodeUuid, lane: Lane, frame: Frame) -> Result<(), LinkError> {
        if self.shared.is_stopped() {
            return Err(LinkError::Down("this node is stopping".to_owned()));
        }
        let link = self.shared.link(to, lane);
        if let Some(frames) = link.queue(frame)? {
            drop(Production::spawn(session::run(link, self.shared.clone(), frames)));
        }
        Ok(())
    }

    fn send_snapshot(
        &self,
        to: NodeUuid,
        chunks: BoxStream<'static, SnapshotChunk>,
    ) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
        session::snapshot(self.shared.clone(), to, chunks)
    }
}
