//! Raft over few connections: frames of many groups on three lanes per pair of nodes
//! (docs/rules/consensus.md#three-lanes-per-pair-of-nodes).
//!
//! `network` and `append` are openraft's way out, `inbound` the way in, `hub` joins them over a `Wire`:
//! `tonic` in production, `sim_wire` in simulation. There is no quiescence, and no retry of a request:
//! openraft retries.

mod append;
mod bulk;
mod guard;
mod hub;
mod inbound;
mod message;
mod network;
mod pending;
mod port;
mod queue;
mod tonic;
mod wire;

#[cfg(test)]
mod tests;

pub use append::{STAMP_AGE_MAX, STREAM_IDLE, WINDOW_BYTES, WINDOW_FRAMES};
pub use guard::VoteGuard;
pub use hub::Transport;
pub use network::{GroupNetwork, GroupNetworkFactory};
#[cfg(feature = "sim")]
pub(crate) use queue::Batcher;
pub use queue::{COMMIT_LINGER, FrameReceiver, FrameSender, HEARTBEAT_PACE, MESSAGE_BYTES_MAX, frame_queue};
pub use tonic::{
    Directory, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, Peer, TonicWire, TransportServer, TransportService,
};
pub use wire::{Inbound, Inbox, Lane, LinkError, NodeUuid, Wire};
