//! The last few of many.

use std::collections::VecDeque;

/// Enough to show what led to an outage; a status reply stays small.
pub const KEPT: usize = 64;

/// The last `KEPT` of what was put in, the oldest first.
#[derive(Debug)]
pub struct Ring<T>(VecDeque<T>);

impl<T> Default for Ring<T> {
    fn default() -> Self {
        Self(VecDeque::with_capacity(KEPT))
    }
}

impl<T: Clone> Ring<T> {
    /// Puts one in, in place of the oldest if there are `KEPT`.
    pub fn put(&mut self, one: T) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(one);
    }

    /// All that are kept, the oldest first.
    pub fn all(&self) -> Vec<T> {
        self.0.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_gives_way() {
        let mut ring = Ring::default();
        assert!(ring.all().is_empty());
        (0..KEPT + 3).for_each(|one| ring.put(one));
        assert_eq!(ring.all(), (3..KEPT + 3).collect::<Vec<_>>());
    }
}
