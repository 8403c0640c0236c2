//! Answers to queries, from one consistent view of a shard's applied state. The caller has made sure that
//! the view is linearizable (a read barrier); nothing here waits, writes or remembers.

mod bandwidth;
mod collection;
mod entry;
mod event;
mod grants;
mod list;
mod merge;
mod packets;
mod session;
mod shard;
mod users;

pub use bandwidth::{bandwidth, bandwidth_of_read};
pub use collection::{MEMBER_PAGE_MAX, find_member, list_collection};
pub use entry::read_entry;
pub use event::{EVENT_PAGE_MAX, list_events};
pub(crate) use event::{PASSED_MAX, Selection, cursor, events, page_limit};
pub use grants::list_grants;
pub use list::{LIST_LIMIT_MAX, list_entries};
pub(crate) use merge::{Bounds, Direction, Page, merge};
pub use packets::{LEFT_PAGE_MAX, get_packet, list_left};
pub use session::get_session;
pub use shard::{ShardClock, clock, stats};
pub use users::{USER_PAGE_MAX, get_user, list_users};
