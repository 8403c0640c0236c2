//! The frames between two nodes: what they hold, how they queue, and what carries them.
//!
//! `tonic` carries them in production, `sim::SimWire` in simulation.

pub(super) mod bulk;
pub(super) mod contract;
pub(super) mod lane;
pub(super) mod message;
pub(super) mod queue;
pub(super) mod tonic;
