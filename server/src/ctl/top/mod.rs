//! `rowhouse ctl top`: the nodes, live.

mod run;
mod screen;
mod table;

pub use run::{TopArgs, top};
