//! The event feed (docs/rules/feed.md): how far it may go, pages of it, and streams of events.
//!
//! Streams of users' events are queries of those users' shards and wait for no frontier. What outlives a request is the
//! frontier of one gateway, and while anybody listens what its nodes tell of news.

mod admin_stream;
mod batch;
mod clocks;
mod follow;
mod frames;
mod frontier;
mod live;
mod merge;
pub mod metrics;
mod page;
mod pages;
mod round;
mod sse;
mod stream_body;
mod stream_metrics;
mod stream_params;
mod timestamp;
mod user_pages;

pub use admin_stream::AllPages;
pub use batch::batch_body;
pub use follow::Follow;
pub use frames::{Frames, wire_cursor};
pub use live::{Pace, live_pieces};
pub use page::Selection;
pub use pages::{Feed, Freshness};
pub use stream_body::StreamBody;
pub use stream_params::{StreamParams, StreamUser, refused};
#[cfg(fuzzing)]
pub use timestamp::unix_us as old_cursor;
pub use user_pages::{UserPages, UserSelection};
