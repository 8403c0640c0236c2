//! The state machines of a shard and of the meta group, over rows in memory.

mod accounts;
mod collections;
mod conditions;
mod events;
mod golden;
mod grant_list;
mod input;
mod list;
mod list_cost;
mod locks;
mod log;
mod machine_fixture;
mod meta;
mod meta_accounts;
mod meta_golden;
mod model;
mod modified;
mod object;
mod packets;
mod physical;
mod session;
mod session_bounds;
mod storage;
mod time;
mod user_index;
