//! openraft's deterministic runtime: one thread, virtual time, seeded randomness.

use openraft::AsyncRuntime;
use openraft_rt_sim::SimInstant;
use rand::Rng;

use crate::runtime::Runtime;

/// The simulation runtime.
pub type Simulation = openraft_rt_sim::SimRuntime;

/// 2026-01-01: simulated clocks start here so that event times are plausible.
const EPOCH_US: u64 = 1_767_225_600_000_000;

impl Runtime for Simulation {
    async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        work()
    }

    fn wall_us() -> u64 {
        let elapsed = SimInstant::try_now().map_or(0, |now| now.elapsed_since_start().as_micros() as u64);
        EPOCH_US + elapsed
    }

    fn random_u64() -> u64 {
        Self::thread_rng().next_u64()
    }
}
