//! Users' packets: kept in the users' shards, and published again by the shards' leaders so that they never lapse
//! (docs/rules/network.md#users-packets, docs/decisions/018-users-records.md).
//!
//! Each node looks after the shards that it leads: it walks through their users once an interval, and looks at new ones
//! and at those who just signed in. Nothing is published without a look at the network behind which it comes.

mod ages;
mod check;
mod counts;
mod decide;
mod due;
mod hints;
mod keeper;
mod own;
mod pass;
mod republisher;
mod shard;
mod tokens;

pub use hints::Hints;
pub use republisher::{Republisher, SOCKETS};
