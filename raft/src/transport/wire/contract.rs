//! `Wire` and `Inbox`: the carrier of frames between two nodes, tonic streams in production, a simulated wire in tests.
//!
//! A wire may delay frames and may break, but it is never silent about it: it reports a broken link to those that
//! wait on it, and the frames queued on that link are gone. It knows nothing of groups.

use std::sync::Weak;

use futures::future::BoxFuture;
use futures::stream::BoxStream;
use rowhouse_proto::wire::transport::v1::{Frame, SnapshotChunk, SnapshotReply};

use super::lane::{Lane, LinkError, NodeUuid};
use super::queue::FrameSender;
use crate::lease::LeaseTerms;

/// Outgoing half: links this node dials for its own requests.
pub trait Wire: Send + Sync + 'static {
    /// Names who receives what arrives; called once, before anything is sent.
    fn attach(&self, inbox: Weak<dyn Inbox>);

    /// Queues a request. Never blocks. After `Ok`, either the frame reaches the peer's inbox or
    /// `Inbox::link_lost` is called; frames of a lane arrive in order.
    fn send(&self, to: NodeUuid, lane: Lane, frame: Frame) -> Result<(), LinkError>;

    /// Sends one snapshot over the bulk lane and returns the receiver's answer. Dropping the future
    /// breaks the transfer off. Each step has the wire's deadline; the whole has the caller's.
    fn send_snapshot(
        &self,
        to: NodeUuid,
        chunks: BoxStream<'static, SnapshotChunk>,
    ) -> BoxFuture<'static, Result<SnapshotReply, LinkError>>;
}

/// Incoming half: replies on the links this node dialled, and requests on the links dialled to it.
/// Nothing here blocks.
pub trait Inbox: Send + Sync + 'static {
    /// A reply from a peer this node dialled.
    fn reply(&self, from: NodeUuid, frame: Frame);

    /// The dialled link is gone, and with it everything in flight on it.
    fn link_lost(&self, peer: NodeUuid, lane: Lane);

    /// This node's terms, which it tells its peers at the beginning of a link.
    fn lease_terms(&self) -> LeaseTerms;

    /// A peer has dialled this node, and told its terms. Refused if they do not suit ours. Dropping the
    /// result ends everything begun on the link.
    fn accept(
        &self,
        peer: NodeUuid,
        lane: Lane,
        terms: LeaseTerms,
        replies: FrameSender,
    ) -> Result<Box<dyn Inbound>, LinkError>;

    /// A peer sends a snapshot; an error in the stream means that it broke off.
    fn snapshot(
        &self,
        peer: NodeUuid,
        chunks: BoxStream<'static, Result<SnapshotChunk, LinkError>>,
    ) -> BoxFuture<'static, SnapshotReply>;
}

/// One link dialled to this node.
pub trait Inbound: Send {
    /// A request arrived; answers go to the queue that `Inbox::accept` was given. Never blocks.
    fn request(&mut self, frame: Frame);
}
