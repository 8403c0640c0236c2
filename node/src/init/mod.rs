//! How a cluster comes to life: explicitly and once, never by ordinal or emptiness (consensus.md §4).
//!
//! `client` is what `rowhouse cluster init` runs; `server` is each node's side.

mod client;
mod server;

pub use client::{InitOptions, InitReport, initialize_cluster};
pub use server::InitServer;
