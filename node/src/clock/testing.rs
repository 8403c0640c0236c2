//! A log engine that keeps node records only, and clocks that stand on it, for tests of what they tell.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use rowhouse_raft::log_store::{LogEngine, LogMetrics, LogOp, LogRecord, MetaKind, SyncProgress};
use rowhouse_raft::{Error as RaftError, ReplicaId};

use super::{Clock, HLC_AHEAD_US_MAX, TimeSource};

#[derive(Default)]
pub struct Records {
    records: Mutex<BTreeMap<String, Bytes>>,
    metrics: LogMetrics,
    progress: SyncProgress,
}

impl LogEngine for Records {
    fn submit(&self, _: Vec<LogOp>, _: bool, on_durable: Box<dyn FnOnce(Result<(), RaftError>) + Send>) {
        on_durable(Ok(()));
    }
    fn read(&self, _: ReplicaId, _: u64, _: u64, _: usize) -> Result<Vec<LogRecord>, RaftError> {
        Ok(Vec::new())
    }
    fn last_index(&self, _: ReplicaId) -> Result<Option<u64>, RaftError> {
        Ok(None)
    }
    fn meta(&self, _: ReplicaId, _: MetaKind) -> Result<Option<Bytes>, RaftError> {
        Ok(None)
    }
    fn replicas(&self) -> Result<Vec<(ReplicaId, Bytes)>, RaftError> {
        Ok(Vec::new())
    }
    fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }
    fn progress(&self) -> &SyncProgress {
        &self.progress
    }
    fn node_record(&self, key: &str) -> Result<Option<Bytes>, RaftError> {
        Ok(self.records.lock().expect("not poisoned").get(key).cloned())
    }
    fn put_node_record(&self, key: &str, value: Bytes) -> Result<(), RaftError> {
        self.records.lock().expect("not poisoned").insert(key.to_owned(), value);
        Ok(())
    }
}

/// Nodes of one cluster that tell each other their time, as pings do.
pub struct World {
    true_us: Arc<AtomicU64>,
    nodes: Vec<(Arc<Records>, Clock)>,
}

impl World {
    /// One node for each error its machine's clock begins with.
    pub fn new(start_us: u64, errors_us: &[i64]) -> Self {
        let true_us = Arc::new(AtomicU64::new(start_us));
        let boot = |error_us: &i64| {
            let engine = Arc::<Records>::default();
            (engine.clone(), boot(&engine, &true_us, *error_us))
        };
        Self { nodes: errors_us.iter().map(boot).collect(), true_us }
    }

    pub fn true_us(&self) -> u64 {
        self.true_us.load(Ordering::Relaxed)
    }

    pub fn advance(&mut self, us: u64) {
        self.true_us.fetch_add(us, Ordering::Relaxed);
    }

    /// The node comes back on its own disk, with another error.
    pub fn restart(&mut self, node: usize, error_us: i64) {
        let engine = self.nodes[node].0.clone();
        self.nodes[node].1 = boot(&engine, &self.true_us, error_us);
    }

    /// Two rounds of pings: the second brings HLCs that were not known in the first.
    pub fn talk(&mut self) {
        for _ in 0..2 {
            for (at, (_, clock)) in self.nodes.iter().enumerate() {
                let others = || self.nodes.iter().enumerate().filter(move |(other, _)| *other != at);
                let offsets =
                    others().filter_map(|(_, (_, other))| clock.offset_of(other.reading_us())).collect();
                clock.judge(offsets, self.nodes.len());
                for (_, (_, other)) in others() {
                    clock.merge(other.latest());
                }
            }
        }
    }

    /// The stamp that the node gives a command.
    pub fn now_us(&self, node: usize) -> u64 {
        let stamp = self.nodes[node].1.stamp().expect("judged");
        assert!(stamp.now_ms.abs_diff(stamp.hlc_us / 1000) <= 2 * HLC_AHEAD_US_MAX / 1000, "{stamp:?}");
        stamp.hlc_us
    }
}

fn boot(engine: &Arc<Records>, true_us: &Arc<AtomicU64>, error_us: i64) -> Clock {
    let true_us = Arc::clone(true_us);
    let reads: Arc<dyn Fn() -> u64 + Send + Sync> =
        Arc::new(move || true_us.load(Ordering::Relaxed).saturating_add_signed(error_us));
    let time = TimeSource { steady_us: Arc::clone(&reads), wall_us: reads };
    Clock::open(engine.clone(), time).expect("readable")
}
