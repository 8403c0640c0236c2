//! The runtime beneath this crate: `Production` (tokio) here, `sim::Simulation` (one thread, virtual time) in tests.
//!
//! Nothing else in this crate may spawn, sleep, read a clock or start a thread: the same code must run
//! in both.

mod production;

use std::future::Future;

pub use production::{Production, start_thread};

/// The engine's needs beyond openraft's `AsyncRuntime`.
pub trait Runtime: openraft::AsyncRuntime + Send + Sync + Sized {
    /// Runs storage work that may block: on a pool in production, inline in simulation.
    fn blocking<T: Send + 'static>(
        work: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = T> + Send;

    /// Physical time in µs since the Unix epoch: the wall clock read once, then driven by the
    /// monotonic clock, so that a stepped wall clock moves nothing (docs/rules/time.md#no-clock-runs-away).
    fn wall_us() -> u64;

    /// Uniformly random; seeded in simulation.
    fn random_u64() -> u64;
}
