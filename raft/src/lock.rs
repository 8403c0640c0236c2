//! The workspace's lock, under the name that this crate uses.

pub use rowhouse_proto::lock::{lock, wait};
