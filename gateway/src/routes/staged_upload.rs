//! An upload under way. When it ends without a file, for whatever reason, its shard is told, so that it holds no place
//! and no room until it expires.

use std::sync::Arc;

use bytes::Bytes;
use rowhouse_proto::wire::shard::{AbandonUpload, execute_request::Op};
use tokio_util::task::TaskTracker;

use crate::cluster::Cluster;

/// Tells the shard when it is dropped, unless it is kept. The telling is left to itself: a client that has gone
/// waits for nothing, and an upload whose shard does not hear of it expires.
pub struct StagedUpload {
    cluster: Arc<Cluster>,
    shard: u32,
    /// `None`: nothing is to be told.
    abandon: Option<AbandonUpload>,
}

impl StagedUpload {
    /// The upload of this object, which has begun.
    pub fn new(cluster: Arc<Cluster>, shard: u32, tenant: Bytes, object: Bytes) -> Self {
        Self { cluster, shard, abandon: Some(AbandonUpload { tenant, object }) }
    }

    /// The shard is told nothing: its file stands, or nobody knows.
    pub fn keep(mut self) {
        self.abandon = None;
    }
}

impl Drop for StagedUpload {
    fn drop(&mut self) {
        let Some(abandon) = self.abandon.take() else { return };
        let (cluster, shard) = (Arc::clone(&self.cluster), self.shard);
        TaskTracker::new().spawn(async move {
            let call = cluster.call(None);
            if let Err(refused) =
                cluster.execute(&call, shard, String::new(), Op::AbandonUpload(abandon)).await
            {
                tracing::debug!(shard, ?refused, "an upload stays until it expires");
            }
        });
    }
}
