//! The ways to the network: the DHT and each relay. Every one is a vantage point by itself, so that one that hangs, lies
//! or refuses delays and vetoes no other (docs/rules/network.md#vantage-points).

mod dht;
mod health;
mod look;
mod points;
mod relay;

pub use look::{Look, Published};
pub use points::{Network, PkarrNetwork};
