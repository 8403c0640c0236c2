//! The operator's listener: plain HTTP, one password, no client of the network ever sees it. What an operator may do is
//! in `operator/`; here are the routes.

mod delete_entry;
mod info;
mod params;
pub mod password;
mod router;
mod state;
mod tokens;
mod user;
mod users;

pub use password::Attempts;
pub use router::router;
pub use state::{Admin, PublicAddress};
