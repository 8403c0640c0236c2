//! The lanes between two nodes, and why a frame does not go out on one.

use std::fmt;

/// Requests on their way in one stream: what openraft's own receiving end queues.
pub const WINDOW_FRAMES: usize = 64;
/// Bytes on their way in one stream: two full requests, so that one is sent while one is written.
pub const WINDOW_BYTES: usize = 2 * 1024 * 1024;

/// A machine in the cluster; its address is the directory's business.
pub type NodeUuid = [u8; 16];

/// Each lane is a connection of its own per pair of nodes, so that none waits behind another's bytes.
/// Snapshots have a third, see `Wire::send_snapshot`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Calls of one frame each way: votes, heartbeats and ReadIndex probes, leader transfers.
    Control,
    /// Pipelined append streams.
    Log,
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Control => "control",
            Self::Log => "log",
        })
    }
}

/// Why a frame did not go out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// No link, or it broke.
    #[error("peer is unreachable: {0}")]
    Down(String),
    /// The bound of the link's queue is reached; nothing was queued.
    #[error("too much is queued for this peer")]
    Full,
    /// No link could carry it.
    #[error("frame of {bytes} bytes is larger than {max}")]
    TooLarge {
        /// Its length.
        bytes: usize,
        /// The longest that is sent.
        max: usize,
    },
    /// The peer speaks another version, belongs to another cluster, or its lease does not suit ours.
    #[error("refused: {0}")]
    Refused(String),
}
