//! What `rowhouse node` and `rowhouse gateway` can be told, and by whom: built-in defaults, then a TOML file,
//! then the environment, then flags; the later one wins.
//!
//! `node.rs` and `gateway.rs` hold one settings struct a process and, beside it, the table that describes every
//! key. A new key is a field and a row; a new section is a struct, a field of the settings and its rows; a test
//! fails until both agree. Checks, messages, `--print-config` and docs/configuration.md are made from the tables.
//! Deliberately absent: reloading, and the flags of every other command.

mod args;
mod check;
mod environment;
mod file;
mod gateway;
mod hidden;
mod key;
mod known;
mod layer;
mod load;
mod node;
mod print;
mod reference;
mod shared;
#[cfg(test)]
mod tests;

pub use args::{ConfigArgs, TlsFlags};
pub use gateway::{GatewaySettings, LimitsSection};
pub use hidden::Hidden;
pub use layer::Flags;
pub use node::NodeSettings;
pub use reference::print as reference;
pub use shared::TlsSection;
