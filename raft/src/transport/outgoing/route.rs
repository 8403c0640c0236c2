//! The route of one replica's requests to another replica, and openraft's errors for a request that failed.

use std::sync::Arc;

use openraft::AnyError;
use openraft::errors::{RPCError, Unreachable};
use rowhouse_proto::wire::transport::v1::Frame;
use rowhouse_proto::wire::transport::v1::frame::Body;

use super::pending::Ticket;
use super::shared::Outgoing;
use crate::runtime::Runtime;
use crate::transport::wire::lane::{Lane, LinkError, NodeUuid};
use crate::{GroupId, RaftTypes, ReplicaId};

/// From one replica of this node to one on a peer.
pub(in crate::transport) struct Route<R: Runtime> {
    pub(in crate::transport) out: Arc<Outgoing<R>>,
    pub(in crate::transport) group: GroupId,
    pub(in crate::transport) from: ReplicaId,
    pub(in crate::transport) to: ReplicaId,
    pub(in crate::transport) peer: NodeUuid,
}

impl<R: Runtime> Route<R> {
    /// Awaits the replies to a request on `lane`, of which `replies_max` may be on their way at once.
    pub(in crate::transport) fn register(&self, lane: Lane, replies_max: usize) -> Ticket {
        self.out.pending.register(self.peer, lane, replies_max)
    }

    /// A frame of the request `stream`; `seq` counts from 1 on the log lane and is 0 for a call.
    pub(in crate::transport) fn frame(&self, stream: u64, seq: u64, body: Body) -> Frame {
        Frame {
            group: self.group.into(),
            from_replica: self.from,
            to_replica: self.to,
            stream,
            seq,
            body: Some(body),
        }
    }

    /// Queues a frame; see `Wire::send`.
    pub(in crate::transport) fn send(&self, lane: Lane, frame: Frame) -> Result<(), LinkError> {
        self.out.wire.send(self.peer, lane, frame)
    }
}

/// openraft backs off for this error only, so everything that says "not now" is this one.
pub(in crate::transport) fn unreachable<R: Runtime>(error: impl ToString) -> RPCError<RaftTypes<R>> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(error)))
}

/// The peer answered, but not what was asked.
pub(in crate::transport) fn unexpected<R: Runtime>(body: Body) -> RPCError<RaftTypes<R>> {
    match body {
        Body::Rejected(rejected) => unreachable(format!("rejected: {}", rejected.why)),
        _ => unreachable("a reply of another kind"),
    }
}
