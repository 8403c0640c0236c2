//! The crate's errors.

use std::sync::Arc;

use crate::{GroupId, ReplicaId};

/// An error that ends an operation of the engine, and mostly the replica with it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk or the operating system refused.
    #[error("{what}: {source}")]
    Io {
        /// The step that failed.
        what: &'static str,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// Bytes that this program wrote, or a peer sent, are not what they must be.
    #[error("{what} is damaged: {detail}")]
    Corrupt {
        /// The record that was read.
        what: &'static str,
        /// Its fault, in words.
        detail: String,
    },
    /// A record of a format that this program does not know.
    #[error("{what} has format version {found}, this program knows {known}")]
    Version {
        /// The record that was read.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The only one known here.
        known: u32,
    },
    /// A record of a known format with fields of a newer program.
    #[error("{what} holds fields that this program does not know: start the program that wrote it")]
    UnknownFields {
        /// The record that was read.
        what: &'static str,
    },
    /// A committed entry that this program cannot apply, and must not skip.
    #[error("entry {index} of group {group} cannot be applied: {detail}")]
    Unapplicable {
        /// The group whose log holds it.
        group: GroupId,
        /// Its index.
        index: u64,
        /// Why it cannot be applied.
        detail: String,
    },
    /// This replica's state differs from its leader's (`state/check.rs`).
    #[error(
        "group {group}: this replica is not what its leader is: at entry {index} its state hash is {ours}, the \
         leader's {theirs}; it stops, for its data must not be served"
    )]
    Diverged {
        /// The group.
        group: GroupId,
        /// Entry at which the states were compared.
        index: u64,
        /// This replica's hash there, in hexadecimal.
        ours: String,
        /// The leader's.
        theirs: String,
    },
    /// The error that ended a replica's state machine.
    #[error(transparent)]
    Halted(Arc<Self>),
    /// No replica of the group runs here.
    #[error("no replica of group {0} on this node")]
    NoSuchGroup(GroupId),
    /// The replica was destroyed; its id is never used again.
    #[error("replica {0} is a tombstone and never comes back")]
    Tombstone(ReplicaId),
    /// openraft refused, or the group is not in a state to do what was asked.
    #[error("group {group}: {detail}")]
    Raft {
        /// The group.
        group: GroupId,
        /// Why, in words.
        detail: String,
    },
    /// This node, or the engine beneath, is stopping.
    #[error("shutting down")]
    Stopped,
}

impl Error {
    /// `Error::Io`.
    pub fn io(what: &'static str, source: std::io::Error) -> Self {
        Self::Io { what, source }
    }

    /// `Error::Corrupt`, with a detail that can be displayed.
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
    NotLeader {
        /// The node that leads, as far as this replica knows.
        leader_node: Option<[u8; 16]>,
    },
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
    /// Another replica leads: ask there.
    #[error("not the leader")]
    NotLeader {
        /// The node that leads, as far as this replica knows.
        leader_node: Option<[u8; 16]>,
    },
    /// No quorum answered in time, or the state machine lags or has halted.
    #[error("no quorum confirmed the read in time: {0}")]
    Unavailable(String),
}
