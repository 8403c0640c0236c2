//! `ReceiveError`: why a snapshot was not taken in, and when its sender may come back.

use super::arrivals::NoTurn;
use super::port::Ended;
use crate::codec::{LogId, Vote};
use crate::error::Error;
use crate::transport::wire::bulk::ROOM_PAUSE;
use crate::transport::wire::lane::LinkError;

/// A sender that was told to wait asks again after this much, in ms; it has pauses of its own for questions.
pub(in crate::transport) const BUSY_PAUSE_MS: u64 = 1_000;

#[derive(Debug, thiserror::Error)]
pub(in crate::transport) enum ReceiveError {
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Store(#[from] Error),
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("the transfer stands still")]
    Stalled,
    #[error("the transfer ends too early")]
    Short,
    #[error("the sender has dialled again")]
    Superseded,
    #[error("the transfer is malformed: {0}")]
    Malformed(&'static str),
    #[error("the snapshot ends at {0}, which its sender with vote {1} cannot have committed")]
    AheadOfLeader(LogId, Vote),
    #[error("the snapshot ends at {0}, where entries up to {1} are committed here")]
    Contradicts(LogId, LogId),
    #[error("the sender must not lead this node: {0}")]
    Terms(String),
    #[error("this replica is not on this node")]
    NotHere,
    #[error("too many snapshots at once")]
    Busy,
    #[error(
        "no room for a snapshot: {needed} bytes are needed, {free} are free above storage.free_space_min_bytes. \
         Free disk space on this node, or drain it; the snapshot is asked for again in {} s",
        ROOM_PAUSE.as_secs()
    )]
    NoRoom { needed: u64, free: u64 },
}

impl ReceiveError {
    /// Whether what arrived may be gone on with.
    pub(in crate::transport) fn is_break(&self) -> bool {
        matches!(self, Self::Link(_) | Self::Stalled | Self::Short | Self::Superseded)
    }

    pub(in crate::transport) fn retry_after_ms(&self) -> u64 {
        match self {
            Self::NoRoom { .. } => ROOM_PAUSE.as_millis() as u64,
            Self::Busy => BUSY_PAUSE_MS,
            _ => 0,
        }
    }
}

impl From<NoTurn> for ReceiveError {
    fn from(no_turn: NoTurn) -> Self {
        match no_turn {
            NoTurn::Busy => Self::Busy,
            NoTurn::NotHeld => Self::Malformed("it goes on where nothing is held"),
        }
    }
}
