//! What a node's parts are like at this moment, read at each scrape: the paths of requests pay nothing for it.
//!
//! The parts count by themselves (`raft/src/log_store/metrics.rs`, `node/src/blobs/metrics.rs`,
//! `node/src/objects/progress.rs`); the files here give their counters names. docs/operations/metrics.md lists all.

mod cluster;
mod groups;
mod packets;
mod raft;
mod shards;
mod sources;
mod storage;
mod sync;

pub use groups::Groups;
pub use sources::Sources;
pub use sync::SyncDurations;

use std::sync::Arc;

use opentelemetry::global;

use crate::proposal;
use sources::Watched;

/// Makes the instruments that read these sources, for as long as somebody holds them. `per_shard`: those of each shard
/// too.
pub fn observe(sources: &Arc<Sources>, per_shard: bool) {
    let watched = Watched::new(global::meter("rowhouse.node"), sources);
    proposal::begin();
    raft::observe(&watched);
    storage::observe(&watched);
    cluster::observe(&watched);
    packets::observe(&watched);
    if per_shard {
        shards::observe(&watched);
    }
}
