//! `rowhouse relay` and `rowhouse http-relay`: what browsers and apps need beside a homeserver, as components of their own.
//!
//! The relay answers look-ups of packets over HTTP and puts packets into the DHT. It is written here because the relay
//! crate is started by unsafe code alone, which this workspace does not have. The HTTP relay is the crate's.

mod address;
mod cache;
mod handlers;
mod listener;
mod meet;
mod run;

pub use meet::{HttpRelayArgs, run as run_http, start as start_http};
pub use run::{RelayArgs, run};
