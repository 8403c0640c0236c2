//! Raft over few connections: frames of many groups on three lanes per pair of nodes
//! (docs/rules/consensus.md#three-lanes-per-pair-of-nodes).
//!
//! `outgoing` is openraft's way to other nodes, `incoming` their way to the replicas here, `hub` joins both over a
//! `wire`. There is no quiescence.

mod hub;
mod incoming;
mod metrics;
mod outgoing;
#[cfg(test)]
mod tests;
mod wire;

pub use hub::Transport;
pub use incoming::guard::VoteGuard;
pub use metrics::SnapshotMetrics;
pub use outgoing::append::STREAM_IDLE;
pub use outgoing::network::{GroupNetwork, GroupNetworkFactory};
pub use wire::bulk::{BulkOptions, ROOM_PAUSE, Room};
pub use wire::contract::{Inbound, Inbox, Wire};
pub use wire::lane::{Lane, LinkError, NodeUuid, WINDOW_BYTES, WINDOW_FRAMES};
#[cfg(feature = "sim")]
pub(crate) use wire::queue::Batcher;
pub use wire::queue::{
    COMMIT_LINGER, FrameReceiver, FrameSender, HEARTBEAT_PACE, MESSAGE_BYTES_MAX, frame_queue,
};
pub use wire::tonic::{
    Directory, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Peer, TonicWire, TransportServer, TransportService,
};

pub use crate::lease::STAMP_AGE_MAX;
