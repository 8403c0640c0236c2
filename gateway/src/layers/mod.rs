//! The layers around the routes, one per file; `router.rs` says in which order and why.

mod cache_policy;
mod known_keys;
mod tenant;
mod trace;

pub use cache_policy::cache_policy;
#[cfg(fuzzing)]
pub use tenant::resolve;
pub use tenant::{Target, tenant};
pub use trace::{RequestTrace, trace};
