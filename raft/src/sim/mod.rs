//! Everything that only simulation and tests need: stores that lose what was not synced, a network with faults, a
//! runtime with virtual time, and a small state machine.
//!
//! Behind the feature `sim`, which dev-dependencies turn on: no shipped binary contains it. Nothing here starts a
//! thread or reads a clock, and all chance comes from the runtime's seed.

mod kv;
mod log;
mod runtime;
mod state;
mod wire;

pub use kv::{KvCommand, KvMachine, KvReply, RequestId};
pub use log::{LossyLog, LossyOptions};
pub use runtime::Simulation;
pub use state::MemoryState;
pub use wire::{SimNet, SimWeather, SimWire};
