//! The event feed as its readers see it: pages of `/events/`, and streams of server-sent events.
//!
//! Both are read as strictly as the most suspicious indexer reads them.

mod page;
mod stream;

pub use page::{FeedLine, FeedPage, LIMIT_MAX, page_request, refusal};
pub use stream::{EventStream, StreamEvent, StreamItem, parse_stream};
