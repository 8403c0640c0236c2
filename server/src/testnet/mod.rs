//! `rowhouse testnet`: the network a homeserver needs around it, in one process, on loopback.
//!
//! DHT nodes, a pkarr relay and an HTTP relay for auth flows. It keeps the signed records it was given
//! and puts them back at its next start, so that users are found again after any kill.

mod dht;
mod observe;
mod ports;
mod relay;
mod restore;
mod run;

pub use ports::TestnetPorts;
pub use run::{TestnetArgs, TestnetReady, run};
