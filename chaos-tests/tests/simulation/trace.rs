//! What happens in a run, printed as it happens: for the one seed that somebody looks into.

use std::io::Write;
use std::sync::OnceLock;

use openraft_rt_sim::SimInstant;

/// Runs this one seed and prints its trace (`make seed SEED=n`).
pub const SEED: &str = "ROWHOUSE_SIM_SEED";

/// One line with the run's virtual time. Costs nothing unless a single seed is run.
pub fn tell(what: impl FnOnce() -> String) {
    static ON: OnceLock<bool> = OnceLock::new();
    if *ON.get_or_init(|| std::env::var_os(SEED).is_some()) {
        let now = SimInstant::try_now().map_or(0, |now| now.elapsed_since_start().as_micros());
        // The reader may have seen enough (`| head`): the run goes on.
        let _ = writeln!(std::io::stdout(), "{:>12.6} s  {}", now as f64 / 1e6, what());
    }
}
