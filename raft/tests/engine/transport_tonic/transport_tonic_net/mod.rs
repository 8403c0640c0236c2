//! Loopback servers behind proxies that can be cut.

mod certificates;
mod net;
mod proxy;

pub use net::*;
