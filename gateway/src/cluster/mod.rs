//! The cluster as a gateway sees it: a watched map, a few connections to each node, and the last known leader of each
//! shard. A loop turns one request into one answered RPC.

mod account_room;
mod admission;
mod bucket;
mod call;
mod clock;
mod feed;
mod handle;
mod map;
mod meta;
mod metrics;
mod node;
mod retry;
mod send;
mod take;
mod watch;

pub use account_room::{ACCOUNT_BODY_BYTES_MAX, AccountLease, subscriber};
pub use admission::{Admission, ByteLease, PoolUse};
pub use bucket::{Bucket, Taker};
pub use call::Call;
pub use clock::Clock;
pub use feed::Whom;
pub use handle::Cluster;
pub use map::{Group, Map, VoterSet};
pub use node::Node;
pub use take::Cells;
pub use watch::watch;
