//! Loopback servers behind proxies that can be cut.

mod net;
mod proxy;

pub use net::*;
