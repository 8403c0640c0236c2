//! A shard's state as its machine lays it out: keys, versioned values, and the rules that hold over
//! several rows (sessions, aged tables, rosters).
//!
//! Only `apply` writes, inside the transaction of one command; `read` and the checks before a proposal
//! look. The group's log position is not here: the engine keeps it (table 0).

pub(crate) mod aged;
pub(crate) mod collections;
pub mod log_time;
pub mod objects;
pub(crate) mod packet;
pub(crate) mod read;
pub(crate) mod records;
pub(crate) mod roster;
pub(crate) mod session;
pub(crate) mod stored_event;
pub mod tables;

pub use read::Read;
