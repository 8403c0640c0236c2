//! The operations of a run's clients and what they saw: the evidence every oracle judges.
//!
//! Times are nanoseconds of one monotonic clock in one process. Deliberately absent: any
//! knowledge of the server.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Instant;

/// A run keeps this many operations; beyond it workers stop (memory, and the oracle's time).
const OPERATIONS_MAX: usize = 500_000;

/// A value written exactly once in a whole run.
pub type Value = u64;

/// One user's path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub user: usize,
    pub path: String,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Put(Value),
    Delete,
    Read,
}

/// How an operation ended, as far as its client knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// PUT 201, or DELETE 204: it happened.
    Done,
    /// DELETE 404: there was nothing.
    Missing,
    /// The value a read saw.
    Saw(Option<Value>),
    /// Timeout, broken connection, 5xx: it may have happened, or may still happen.
    Unknown,
}

/// One operation of one client: call, return and outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    pub key: Key,
    pub action: Action,
    pub called_ns: u64,
    /// When the answer came; without meaning for `Unknown`.
    pub returned_ns: u64,
    pub outcome: Outcome,
}

impl Operation {
    /// Latest moment it may have taken effect.
    pub fn effective_end_ns(&self) -> u64 {
        if self.outcome == Outcome::Unknown { u64::MAX } else { self.returned_ns }
    }
}

/// Collects operations of all workers.
pub struct Recorder {
    started: Instant,
    operations: Mutex<Vec<Operation>>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { started: Instant::now(), operations: Mutex::new(Vec::new()) }
    }
}

impl Recorder {
    /// Nanoseconds since the run began.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// False when the run has recorded all it can hold.
    pub fn record(&self, operation: Operation) -> bool {
        let mut operations = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        operations.push(operation);
        operations.len() < OPERATIONS_MAX
    }

    /// Number of operations.
    pub fn len(&self) -> usize {
        self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).len()
    }

    /// Every key touched so far.
    pub fn keys(&self) -> BTreeSet<Key> {
        let operations = self.operations.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        operations.iter().map(|operation| operation.key.clone()).collect()
    }

    /// Whether no operation was recorded.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends the recording.
    pub fn into_history(self) -> History {
        let mut operations = self.operations.into_inner().unwrap_or_else(|poisoned| poisoned.into_inner());
        operations.sort_by_key(|operation| operation.called_ns);
        History { operations }
    }
}

/// All operations by the time they were called.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub operations: Vec<Operation>,
}

impl History {
    /// Operations by key, in the order of their calls.
    pub fn by_key(&self) -> BTreeMap<&Key, Vec<&Operation>> {
        let mut keys: BTreeMap<&Key, Vec<&Operation>> = BTreeMap::new();
        for operation in &self.operations {
            keys.entry(&operation.key).or_default().push(operation);
        }
        keys
    }

    /// Number of operations that satisfy `wanted`.
    pub fn count(&self, wanted: impl Fn(&Operation) -> bool) -> usize {
        self.operations.iter().filter(|operation| wanted(operation)).count()
    }
}
