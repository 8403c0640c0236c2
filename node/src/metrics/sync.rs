//! How long syncs of the log take. The log reads no clock: this is the one it is given. It counts by itself too, so that
//! status replies tell what a node without a scraper measured.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use opentelemetry::global;
use rowhouse_proto::TraceContext;
use rowhouse_proto::durations::Durations;
use rowhouse_proto::wire::meta;
use rowhouse_raft::log_store::SyncTimer;

/// From a disk with a battery up to one that hangs.
const SECONDS: &[f64] =
    &[0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
const US_PER_S: f64 = 1e6;

/// Measures each sync from the log's own thread.
pub struct SyncDurations {
    durations: Durations,
    since: Instant,
    /// By bucket; the last is of what lies above all bounds.
    counts: [AtomicU64; SECONDS.len() + 1],
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
        let counts = std::array::from_fn(|_| AtomicU64::default());
        Self { durations, since: Instant::now(), counts }
    }

    /// What was measured so far.
    pub fn told(&self) -> meta::Durations {
        meta::Durations {
            upper_us: SECONDS.iter().map(|bound| (bound * US_PER_S).round() as u64).collect(),
            counts: self.counts.iter().map(|count| count.load(Ordering::Relaxed)).collect(),
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    fn record(&self, seconds: f64, trace: Option<&TraceContext>) {
        self.durations.record(seconds, &[], trace);
        let bucket = SECONDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket].fetch_add(1, Ordering::Relaxed);
    }
}

impl SyncTimer for SyncDurations {
    fn began(&self) -> u64 {
        self.now_us()
    }

    fn ended(&self, began: u64, trace: Option<&TraceContext>) {
        self.record(self.now_us().saturating_sub(began) as f64 / US_PER_S, trace);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sync_counts_in_its_bucket() {
        let syncs = SyncDurations::new();
        [0.00005, 0.0001, 0.0002, 11.0].iter().for_each(|seconds| syncs.record(*seconds, None));
        let told = syncs.told();
        assert_eq!((told.upper_us[0], told.upper_us[1], told.upper_us.last()), (100, 250, Some(&10_000_000)));
        assert_eq!(told.counts.len(), told.upper_us.len() + 1);
        assert_eq!(
            (told.counts[0], told.counts[1], told.counts.last()),
            (2, 1, Some(&1)),
            "a bound belongs to its bucket"
        );
        assert_eq!(told.counts.iter().sum::<u64>(), 4);
    }
}
