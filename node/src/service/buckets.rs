//! The buckets of the groups that this node leads. Their number is bounded, and full ones are forgotten: a bucket that
//! nobody knows is full.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::bucket::{Bucket, Rate, Take};

/// Buckets remembered: some 20 MB. Beyond it the fullest one is forgotten, whose loss gives away the least.
const BUCKETS_MAX: usize = 100_000;
/// Full buckets forgotten with each take: more than one comes with it, so that they never pile up.
const FORGOTTEN_AT_ONCE: usize = 2;

/// The group and the name of a bucket in it.
pub type Key = (u32, Bytes);

/// Buckets that are not full, by their keys and by the time at which they will be full.
#[derive(Debug, Default)]
pub struct Buckets {
    by_key: BTreeMap<Key, Bucket>,
    by_time: BTreeSet<(Bucket, Key)>,
}

impl Buckets {
    /// Takes cells from the bucket of this key, as `Bucket::take` does.
    pub fn take(&mut self, key: Key, rate: &Rate, cells: u32, wait_max_ms: u32, now_ns: u64) -> Take {
        self.forget_full(now_ns);
        let before = self.by_key.get(&key).copied();
        let take = before.unwrap_or_default().take(rate, cells, wait_max_ms, now_ns);
        if let Take::Granted { bucket, .. } = take {
            self.put(key, before, bucket);
        }
        take
    }

    fn put(&mut self, key: Key, before: Option<Bucket>, after: Bucket) {
        match before {
            Some(before) => {
                self.by_time.remove(&(before, key.clone()));
            }
            None if self.by_key.len() >= BUCKETS_MAX => self.forget_first(),
            None => {}
        }
        self.by_time.insert((after, key.clone()));
        self.by_key.insert(key, after);
    }

    fn forget_full(&mut self, now_ns: u64) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            match self.by_time.first() {
                Some((bucket, _)) if bucket.full_at_ns <= now_ns => self.forget_first(),
                _ => return,
            }
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, key)) = self.by_time.pop_first() {
            self.by_key.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZeroU32;

    const SECOND: u64 = 1_000_000_000;
    const NOW: u64 = 1_000 * SECOND;

    fn rate(period_ms: u64) -> Rate {
        let burst = NonZeroU32::new(2).expect("not 0");
        Rate { cells: burst, period_ms, burst }
    }

    fn key(number: usize) -> Key {
        (3, Bytes::copy_from_slice(&number.to_be_bytes()))
    }

    fn granted(buckets: &mut Buckets, key: Key, period_ms: u64, now: u64) -> bool {
        matches!(buckets.take(key, &rate(period_ms), 1, 0, now), Take::Granted { .. })
    }

    #[test]
    fn each_key_of_each_group_has_a_bucket_of_its_own() {
        let mut buckets = Buckets::default();
        for key in
            [(1, Bytes::from_static(b"a")), (1, Bytes::from_static(b"b")), (2, Bytes::from_static(b"a"))]
        {
            let taken = (0..4).filter(|_| granted(&mut buckets, key.clone(), 1_000, NOW)).count();
            assert_eq!(taken, 2, "{key:?}");
        }
    }

    #[test]
    fn the_table_is_bounded_and_the_emptiest_buckets_stay() {
        let mut buckets = Buckets::default();
        let emptied = key(usize::MAX);
        assert!(granted(&mut buckets, emptied.clone(), 3_600_000, NOW));
        assert!(granted(&mut buckets, emptied.clone(), 3_600_000, NOW));
        for number in 0..BUCKETS_MAX + 10 {
            assert!(granted(&mut buckets, key(number), 60_000, NOW + number as u64));
        }
        assert_eq!((buckets.by_key.len(), buckets.by_time.len()), (BUCKETS_MAX, BUCKETS_MAX));
        assert!(!granted(&mut buckets, emptied, 3_600_000, NOW), "strangers do not refill it");
    }

    #[test]
    fn full_buckets_are_forgotten() {
        let mut buckets = Buckets::default();
        for number in 0..100 {
            assert!(granted(&mut buckets, key(number), 1_000, NOW));
        }
        for turn in 0..100 {
            granted(&mut buckets, key(0), 1_000, NOW + (2 + turn) * SECOND);
        }
        assert_eq!((buckets.by_key.len(), buckets.by_time.len()), (1, 1));
    }
}
