//! The settings of `rowhouse node` and `rowhouse gateway`. They come from built-in defaults, then a TOML file, then the
//! environment, then flags; the later one wins.
//!
//! A key is one row of a `section!` table in the crate that uses it: node/src/settings.rs, gateway/src/settings.rs,
//! raft/src/config.rs, or `shared.rs` here (docs/how-to/add-a-setting.md). Flags, checks, messages, `--print-config`
//! and docs/configuration.md are made from the tables, which `process.rs` lists.
//! Deliberately absent: reloading, and the flags of every other command.

mod args;
mod check;
mod environment;
mod file;
mod flags;
mod known;
mod layer;
mod load;
mod print;
mod process;
mod reference;
mod refusal;
mod shared;
#[cfg(test)]
mod tests;
mod value;

pub use args::ConfigArgs;
pub use file::dict as read_toml;
pub use load::Settings;
pub use print::write;
pub use process::{GatewaySettings, NodeSettings};
pub use reference::print as reference;
pub use shared::TlsSection;
pub use value::{accepts, literal, plain};
