//! How long syncs of the log take. The log reads no clock: this is the one it is given.

use std::time::Instant;

use opentelemetry::global;
use rowhouse_proto::TraceContext;
use rowhouse_proto::durations::Durations;
use rowhouse_raft::log_store::SyncTimer;

/// From a disk with a battery up to one that hangs.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Measures each sync from the log's own thread.
pub struct SyncDurations {
    durations: Durations,
    since: Instant,
}

impl SyncDurations {
    /// Before the log is opened.
    pub fn new() -> Self {
        let durations = Durations::new(
            &global::meter("rowhouse.node"),
            "rowhouse.raft.log.sync.duration",
            "Time that a synced write of this node's log took.",
            SECONDS,
        );
        Self { durations, since: Instant::now() }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl SyncTimer for SyncDurations {
    fn began(&self) -> u64 {
        self.now_us()
    }

    fn ended(&self, began: u64, trace: Option<&TraceContext>) {
        self.durations.record(self.now_us().saturating_sub(began) as f64 / 1e6, &[], trace);
    }
}
