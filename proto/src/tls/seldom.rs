//! Logging what repeats itself: peers that are refused come again and again.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The same thing is told again after this long.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
/// Things remembered as told; more are strangers at the door, and then all is forgotten.
const KEYS_MAX: usize = 256;

#[derive(Debug, Default)]
pub struct Seldom(Mutex<BTreeMap<String, Instant>>);

impl Seldom {
    /// Whether to tell of `key` now.
    pub fn is_due(&self, key: &str) -> bool {
        let now = Instant::now();
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
        let seldom = Seldom::default();
        assert!(seldom.is_due("a"));
        assert!(!seldom.is_due("a"));
        for n in 0..2 * KEYS_MAX {
            assert!(seldom.is_due(&n.to_string()));
        }
        assert!(seldom.0.lock().expect("not poisoned").len() <= KEYS_MAX);
    }
}
