//! The operator's listener: plain HTTP, one password, no client of the network ever sees it. What an operator may do is
//! in `operator/`; here are the routes.

pub mod attempts;
pub mod basic;
mod delete_entry;
mod events_stream;
mod info;
mod params;
mod password;
mod router;
mod state;
mod status;
mod tokens;
mod user;
mod users;

pub use attempts::Attempts;
pub use router::router;
pub use state::{Admin, PublicAddress};
pub use status::Board;
