//! Locks of paths (docs/rules/protocol.md#locks): what a client asks for, what it is told, and how a write keeps its lock
//! while its body comes. The shard decides about them.

mod lock_info;
mod lock_response;
mod timeout;

pub use lock_info::check_lock_info;
#[cfg(fuzzing)]
pub use lock_info::is_exclusive_write;
pub use lock_response::lock_response;
pub use timeout::requested_timeout_s;
