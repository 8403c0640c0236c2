//! Refused peers come again and again; the log names each of them once a minute.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A key is due again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Keys remembered. More come only from strangers at the door; then all are forgotten, and may be told again.
const KEYS_MAX: usize = 256;

/// Decides which of many like events are logged: for each key the first, and one a minute after it.
#[derive(Debug, Default)]
pub struct LogThrottle(Mutex<BTreeMap<String, Instant>>);

impl LogThrottle {
    /// Whether to log the event of `key` now. The answer `true` counts as logged.
    pub fn is_due(&self, key: &str) -> bool {
        let now = Instant::now();
        // A panic of a holder closes nothing here either (`rowhouse_proto::lock`, which this crate does not know).
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(key).is_some_and(|last| now.duration_since(*last) < AGAIN_AFTER) {
            return false;
        }
        if told.len() >= KEYS_MAX {
            told.clear();
        }
        told.insert(key.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thing_is_told_once_and_memory_is_bounded() {
        let throttle = LogThrottle::default();
        assert!(throttle.is_due("a"));
        assert!(!throttle.is_due("a"));
        for n in 0..2 * KEYS_MAX {
            assert!(throttle.is_due(&n.to_string()));
        }
        assert!(throttle.0.lock().expect("not poisoned").len() <= KEYS_MAX);
    }
}
