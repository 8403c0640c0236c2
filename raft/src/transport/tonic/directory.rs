//! Where nodes are.

use crate::transport::NodeUuid;

/// What the transport asks of the cluster's directory, at every dial and about once a second. Answers
/// come from memory.
pub trait Directory: Send + Sync + 'static {
    /// The cluster this node belongs to; `None` before it belongs to any, and then no link is made.
    fn cluster_id(&self) -> Option<[u8; 16]>;

    /// `host:port` of a node. A change ends links to the old one; `None` ends them too.
    fn address(&self, node: NodeUuid) -> Option<String>;
}
