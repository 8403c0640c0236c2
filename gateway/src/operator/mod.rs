//! What an operator may do: signup tokens, users, quotas, entries, settings, and the record of all that was changed.
//!
//! The admin routes and `rowhouse ctl` both do it here, so that a change is the same and leaves the same trace whoever
//! asks. Deliberately absent: HTTP, and how an operator is known.

mod acting;
mod audit;
mod confirm;
mod entries;
mod items;
mod merge;
mod packets;
mod quotas;
mod settings;
mod settle;
mod tokens;
mod totals;
mod users;

pub use acting::Operator;
pub use items::{AuditItem, QuotaItem, TokenItem, UserItem};
pub use packets::LeftUsers;
pub use tokens::{TokenPage, TokenQuery};
pub use totals::Totals;
pub use users::{UserPage, UserQuery, parse_user};
