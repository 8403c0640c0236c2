//! The event feed: streams of users' events.

mod batch;
mod follow;
mod frames;
mod live;
mod sse;
mod stream_body;
mod stream_metrics;
mod stream_params;
mod user_pages;

pub use batch::batch_body;
pub use follow::Follow;
pub use frames::Frames;
pub use live::{Pace, live_pieces};
pub use stream_body::StreamBody;
pub use stream_params::{StreamParams, StreamUser, refused};
pub use user_pages::{UserPages, UserSelection};
