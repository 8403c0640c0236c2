//! The shard's state machine: one file for each command, one decision for each question.
//!
//! Apply is a pure function of state and command: no clock, no randomness, nothing of this machine
//! (docs/rules/consensus.md#apply-is-deterministic). Time is `shard_now`, tables age by `age_ms`, event ids come from
//! `last_t`; all live in the shard's record. A command that must be refused is a normal outcome; only unreadable
//! storage is an error.
//!
//! A command's file holds its two decisions: `check`, before the log, and `apply`, after it. `commands` is the one
//! dispatch to both. The leader asks `precheck` before a proposal, so that a bad request never reaches the log.

mod abandon_upload;
mod authorize;
mod begin_upload;
mod change_quota;
mod close;
mod close_cookie_session;
mod collect_objects;
mod commands;
mod conditions;
mod cookies;
mod create_user;
mod dedup;
mod delete_entry;
mod disable_user;
mod error;
mod grants;
mod guard;
mod lock;
mod lock_entry;
mod machine;
mod make_collection;
mod mark_pass;
mod mint_bearer;
mod modified;
mod move_entries;
mod note_packet;
mod object;
mod object_step;
mod open_cookie_session;
mod outcome;
mod physical;
mod precheck;
mod put_entry;
mod quota;
mod refresh_lock;
mod remove_collection;
mod revoke_grant;
mod settle_signup;
mod sweep;
mod tree;
mod turn;
mod unlock_entry;
mod user_index;

pub use cookies::COOKIE_SESSIONS_MAX;
pub use dedup::{ISSUED_AHEAD_MS_MAX, REQUEST_WINDOW_MS, known_outcome};
pub use error::ApplyError;
pub use grants::{GRANTS_MAX, REVOKED_GRANTS_MAX};
pub use lock::{LOCK_TIMEOUT_S_MAX, LOCKS_OF_USER_MAX};
pub use machine::ShardMachine;
pub use physical::{PHYSICAL_QUOTAS, UPLOADS_OF_USER_MAX};
pub use precheck::{Precheck, changes_nothing, precheck};
pub use tree::{TREE_INLINE_BYTES_MAX, TREE_ROWS_MAX};
pub use turn::{ACCOUNTS_SINCE, HOLDERS_SINCE, LOCKS_SINCE, PACKETS_SINCE};
