//! What lately happened to this node and its replicas, for status pages: other leaders, and incidents that began or
//! ended. It is in memory only, bounded, and nothing decides by it.

mod actor;
mod ring;
mod watch;

pub use actor::Chronicle;
