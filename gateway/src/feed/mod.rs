//! The event feed over all shards (docs/rules/feed.md): how far it may go, and pages of it.
//!
//! It owns the frontier of one gateway, and nothing else outlives a request. Deliberately absent: how events look on
//! the wire, and streams of one user's events, which are queries of that user's shard.

mod clocks;
mod frontier;
mod merge;
pub mod metrics;
mod page;
mod pages;
mod round;
mod timestamp;

pub use page::Selection;
pub use pages::{Feed, Freshness};
