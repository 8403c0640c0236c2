//! How a setting is described: one row of a `section!` table gives its field, default, bounds, flag, environment
//! variable, help text and line in docs/configuration.md.
//!
//! Each crate writes the tables of the sections it uses, and its configuration holds those sections as they are.
//! Deliberately absent: reading files, variables and flags, which is the binary's (server/src/settings/).

mod hidden;
mod key;
mod kind;
pub mod seconds;
mod section;
#[cfg(test)]
mod tests;

pub use hidden::{HIDDEN, Hidden};
pub use key::{Absent, Flag, Gives, Key, PARTING, PREFIX};
pub use kind::Kind;
