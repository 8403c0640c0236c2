//! The way of one node onto the simulated network.

use std::sync::{Arc, Weak};

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::link;
use super::net::SimNet;
use crate::runtime::Runtime;
use crate::transport::{Inbox, Lane, LinkError, NodeUuid, Wire};

/// One incarnation of a node on a `SimNet`.
pub struct SimWire<R: Runtime> {
    net: SimNet<R>,
    node: NodeUuid,
    incarnation: u64,
}

impl<R: Runtime> SimNet<R> {
    /// The wire of a node as it now runs; a node unknown until now is up.
    pub fn wire(&self, node: NodeUuid) -> Arc<SimWire<R>> {
        Arc::new(SimWire { net: self.clone(), node, incarnation: self.incarnation(node) })
    }
}

impl<R: Runtime> SimWire<R> {
    fn alive(&self) -> Result<(), LinkError> {
        match self.net.lives(self.node, self.incarnation) {
            true => Ok(()),
            false => Err(LinkError::Down("this node has crashed".to_owned())),
        }
    }
}

impl<R: Runtime> Wire for SimWire<R> {
    fn attach(&self, inbox: Weak<dyn Inbox>) {
        if self.alive().is_ok() {
            self.net.attach(self.node, inbox);
        }
    }

    fn send(&self, to: NodeUuid, lane: Lane, frame: Frame) -> Result<(), LinkError> {
        self.alive()?;
        if let Some(link) = self.net.queue((self.node, to, lane), frame)? {
            drop(R::spawn(link::run(self.net.clone(), self.incarnation, link)));
        }
        Ok(())
    }

    fn send_snapshot(
        &self,
        to: NodeUuid,
        chunks: BoxStream<'static, SnapshotChunk>,
    ) -> BoxFuture<'static, Result<SnapshotReply, LinkError>> {
        link::snapshot(self.net.clone(), (self.node, self.incarnation), to, chunks)
    }
}
