//! The state store against models, openraft's own suite, and crashes.

mod apply;
mod check;
mod crash;
mod engine;
mod gapless;
mod gaps;
mod kit;
mod snapshot;
mod store;
mod suite;
mod txn;
