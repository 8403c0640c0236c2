//! Why replicas do not serve.

use std::collections::BTreeMap;

use arc_swap::ArcSwap;
use rowhouse_raft::GroupId;

/// By group, for the status page. One writer (the shard supervisor), read without a lock.
pub type Problems = ArcSwap<BTreeMap<GroupId, String>>;
