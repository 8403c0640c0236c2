//! The crate's errors.

use std::sync::Arc;

use crate::{GroupId, ReplicaId};

/// What ends an operation of the engine, and mostly the replica with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{what}: {source}")]
    Io {
        what: &'static str,
        #[source]
        source: std::io::Error,
    },
    #[error("{what} is damaged: {detail}")]
    Corrupt { what: &'static str, detail: String },
    #[error("{what} has format version {found}, this program knows {known}")]
    Version { what: &'static str, found: u32, known: u32 },
    #[error("{what} holds fields that this program does not know: start the program that wrote it")]
    UnknownFields { what: &'static str },
    /// A committed entry that this program cannot apply, and must not skip.
    #[error("entry {index} of group {group} cannot be applied: {detail}")]
    Unapplicable { group: GroupId, index: u64, detail: String },
    #[error(
        "group {group}: this replica is not what its leader is: at entry {index} its state hash is {ours}, the \
         leader's {theirs}; it stops, for its data must not be served"
    )]
    Diverged { group: GroupId, index: u64, ours: String, theirs: String },
    /// What ended a replica's state machine.
    #[error(transparent)]
    Halted(Arc<Self>),
    #[error("no replica of group {0} on this node")]
    NoSuchGroup(GroupId),
    #[error("replica {0} is a tombstone and never comes back")]
    Tombstone(ReplicaId),
    #[error("group {group}: {detail}")]
    Raft { group: GroupId, detail: String },
    #[error("shutting down")]
    Stopped,
}

impl Error {
    pub fn io(what: &'static str, source: std::io::Error) -> Self {
        Self::Io { what, source }
    }

    pub fn corrupt(what: &'static str, detail: impl std::fmt::Display) -> Self {
        Self::Corrupt { what, detail: detail.to_string() }
    }
}

impl From<Error> for std::io::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Io { source, .. } => source,
            other => Self::other(other),
        }
    }
}

/// Why a proposal has no outcome.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Not appended: retry freely, there.
    #[error("not the leader")]
    NotLeader { leader_node: Option<[u8; 16]> },
    /// Not appended: admission is full.
    #[error("too many proposals in flight")]
    Busy,
    /// It may or may not come to pass.
    #[error("outcome unknown: {0}")]
    Unknown(String),
}

/// Why a linearizable read cannot be served here.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("not the leader")]
    NotLeader { leader_node: Option<[u8; 16]> },
    #[error("no quorum confirmed the read in time: {0}")]
    Unavailable(String),
}
