//! `rowhouse ctl config import`: the configuration file of `pubky-homeserver` becomes settings of this program, and a
//! report says of each of its keys what became of it.
//!
//! `keys.rs` is the table of the other program's keys, `judge.rs` decides those that need more than another name.
//! Deliberately absent: moving data. Neither the database nor the files of the other homeserver are read.

mod asked;
mod command;
mod fate;
mod import;
mod judge;
mod keys;
mod report;
mod settings_file;

pub use command::{ConfigCommand, run};
