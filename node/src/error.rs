//! The crate's errors.

use rowhouse_proto::VersionRange;

use crate::blobs::ChunkKey;

/// A reason why a node does not start, or why it or one of its actors ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Raft(#[from] rowhouse_raft::Error),
    #[error("{what}: {source}")]
    Io {
        what: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the data folder {0} is in use by another process")]
    DataFolderInUse(String),
    #[error(
        "this data folder belongs to cluster {ours}, but {peer} is of cluster {theirs}: \
         start with the right data folder, or with an empty one to join as a new node"
    )]
    ForeignCluster { ours: String, theirs: String, peer: String },
    #[error(
        "this data folder belongs to the homeserver {stored}, but the configured secret is of {configured}: \
         start with the right data folder or the right secret"
    )]
    ForeignHomeserver { stored: String, configured: String },
    #[error("node record {key} is damaged")]
    DamagedRecord { key: &'static str },
    #[error(
        "this data folder is of another format: {what} has version {found}, this program knows {known}. Start the \
         program that wrote it; or keep the folder aside, and start with an empty one as a new node"
    )]
    FormatVersion { what: &'static str, found: u32, known: u32 },
    #[error(
        "the cluster has command version {in_force} in force, this program understands {understood}: no replica may \
         run here; start a program that understands version {in_force}"
    )]
    CommandVersion { in_force: u32, understood: VersionRange },
    #[error("cannot bring the cluster to life: {0}")]
    Init(String),
    #[error("{peer}: {detail}")]
    Peer { peer: String, detail: String },
    #[error("the meta group did not accept the change: {0}")]
    MetaRefused(String),
    #[error("the shard was not closed for the feed: {0}")]
    Close(String),
    #[error("the disk of this node's log does not answer: others shall lead")]
    LogHangs,
    #[error("PKARR: {0}")]
    Pkarr(String),
    #[error("invalid configuration: {0}")]
    Config(String),
    #[error("the disk of this node has no space left for chunks: free some, or add a node")]
    NoSpace,
    #[error("{0} is damaged on this node: fetch it from another replica and put it again")]
    DamagedChunk(ChunkKey),
    #[error(
        "the index of chunks is damaged ({0}): remove the folder `index` beside the segments and start \
         again, which builds it anew from them"
    )]
    DamagedBlobIndex(String),
    #[error("the clock of this node was not compared with those of most nodes yet")]
    ClockNotJudged,
    #[error("shutting down")]
    Stopped,
}

impl Error {
    /// An error of the operating system, with what was done when it happened.
    pub fn io(what: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// Whether going on could do harm: the node ends, loudly.
    pub fn is_fatal(&self) -> bool {
        matches!(
            self,
            Self::ForeignCluster { .. }
                | Self::ForeignHomeserver { .. }
                | Self::DamagedRecord { .. }
                | Self::CommandVersion { .. }
        )
    }
}
