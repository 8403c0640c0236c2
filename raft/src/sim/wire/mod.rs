//! The wire of simulation: delays, partitions, resets and crashes, all drawn from the runtime's seed.
//!
//! A link is like TCP: frames of a lane arrive in order or the link breaks; a cut is silent until
//! someone's patience ends. Nothing is encoded.

mod endpoint;
mod link;
mod net;

pub use endpoint::SimWire;
pub use net::{SimNet, SimWeather};
