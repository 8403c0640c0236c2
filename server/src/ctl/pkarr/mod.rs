//! `rowhouse ctl pkarr`: the records of the homeserver and its users on the network, and who left.

mod args;
mod left;
mod report;
mod show;
mod user;

pub use args::PkarrArgs;
pub use show::pkarr;
