//! The vocabulary of Pubky, shared by every crate. Pubky's own definitions come from `pubky-common` and are wrapped,
//! never re-implemented. Definitions that it lacks are here once.

pub mod auth_token;
pub mod authorize;
pub mod event;
pub mod jws;
pub mod path;
pub mod quota;
pub mod secret;
pub mod slot;
pub mod user;
