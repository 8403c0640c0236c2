//! How a cluster comes to life: explicitly and once, never by ordinal or emptiness
//! (docs/rules/consensus.md#a-cluster-is-initialized-once).
//!
//! `client` is what `rowhouse cluster init` runs; `server` is each node's side.

mod client;
mod server;

pub use client::{InitOptions, InitReport, initialize_cluster};
pub use server::InitServer;
