//! `rowhouse ctl top`: the nodes, live.

mod rows;
mod run;
mod screen;

pub use run::{TopArgs, top};
