//! Where nodes are, and what they are called.

use crate::transport::NodeUuid;

/// A node as the cluster knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// `host:port`.
    pub address: String,
    /// The name that its certificate must bear.
    pub name: String,
}

/// The cluster's directory as the transport asks it, at every dial and about once a second. Answers
/// come from memory.
pub trait Directory: Send + Sync + 'static {
    /// The cluster this node belongs to; `None` before it belongs to any, and then no link is made.
    fn cluster_id(&self) -> Option<[u8; 16]>;

    /// A change ends links to what was; `None` ends them too.
    fn peer(&self, node: NodeUuid) -> Option<Peer>;
}
