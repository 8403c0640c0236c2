//! Judges of a survival run: each takes evidence and returns what contradicts the promises.

mod chain;
mod event_log;
mod feed;
mod register;
mod replicas;

pub use chain::{Attempt, Fate, Link, check_chain};
pub use event_log::{Event, EventLog, check_events};
pub use feed::{Acknowledged, PageSeen, Union, check_pages, check_streams};
pub use register::{Verdict, check_register};
pub use replicas::ReplicaHashes;

/// Most violations kept of one kind: more of the same tell nothing new.
const VIOLATIONS_MAX: usize = 100;

/// Something the cluster must never do, told so that a person can find it in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    pub oracle: &'static str,
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "[{}] {}", self.oracle, self.what)
    }
}
