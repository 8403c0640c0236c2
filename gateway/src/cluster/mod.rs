//! The cluster as a gateway sees it: a watched map, a few connections to each node, the leader each
//! shard was last seen with, and the loop that turns one request into one answered RPC.

mod account_room;
mod admission;
mod clock;
mod map;
mod node;
mod retry;
mod router;
mod watch;

pub use account_room::{ACCOUNT_BODY_BYTES_MAX, AccountLease};
pub use admission::{Admission, ByteLease};
pub use clock::Clock;
pub use map::{Group, Map};
pub use node::Node;
pub use router::{Call, Cluster};
pub use watch::watch;
