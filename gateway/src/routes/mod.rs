//! The client API, one file per resource and verb where it is worth one. `router.rs` mounts them.

mod cookie_session;
mod cookie_signup;
mod delete_entry;
mod entry_change;
mod entry_read;
mod entry_response;
mod entry_target;
mod events;
mod events_stream;
mod get_entry;
mod grant_list;
mod grant_request;
mod grant_session;
mod grant_signup;
mod info;
mod keep_lock;
mod list_entries;
mod list_params;
mod lock_entry;
mod put_entry;
mod put_object;
#[cfg(fuzzing)]
pub mod range;
#[cfg(not(fuzzing))]
mod range;
pub mod receive;
pub mod signup_token;
mod staged_upload;
mod website;

pub use cookie_session::{cookie_session, cookie_signin, cookie_signout};
pub use cookie_signup::cookie_signup;
#[cfg(fuzzing)]
pub use cookie_signup::verify as user_of_auth_token;
pub use delete_entry::delete_entry;
pub use entry_change::{EntryChange, operator};
pub use entry_read::EntryRead;
pub use entry_target::EntryTarget;
pub use events::events;
pub use events_stream::events_stream;
pub use get_entry::{get_entry, get_file, head_entry, head_file, whole_file};
pub use grant_list::{grant_list, grant_revoke};
pub use grant_session::{grant_exchange, grant_session, grant_signout};
pub use grant_signup::grant_signup;
pub use info::{info, root};
#[cfg(fuzzing)]
pub use list_params::ListParams;
pub use lock_entry::lock_or_unlock;
pub use put_entry::{put_entry, store};
pub use receive::{ClientAddr, Scheme};
pub use website::serve_website;
