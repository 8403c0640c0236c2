//! Durations as nodes count them, by bucket, and what of them is the longest of most.

use rowhouse_proto::wire::meta;

/// How many took how long.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Buckets {
    /// Upper bounds, rising.
    upper_us: Vec<u64>,
    /// Of each bucket, and of what lies above all bounds. Empty: nothing is known.
    counts: Vec<u64>,
}

impl Buckets {
    /// Of a node's answer; nothing where it tells none, or none that can be read.
    pub fn of(told: Option<&meta::Durations>) -> Self {
        let readable = told.filter(|it| it.counts.len() == it.upper_us.len() + 1 && it.upper_us.is_sorted());
        readable.map_or_else(Self::default, |it| Self {
            upper_us: it.upper_us.clone(),
            counts: it.counts.clone(),
        })
    }

    /// What came since `earlier`; nothing where that has other buckets.
    pub fn since(&self, earlier: &Self) -> Self {
        if self.upper_us != earlier.upper_us || self.counts.len() != earlier.counts.len() {
            return Self::default();
        }
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, then)| now.saturating_sub(*then));
        Self { upper_us: self.upper_us.clone(), counts: counts.collect() }
    }

    /// What `percent` of them did not exceed, in µs: as if the durations of a bucket lay evenly in it. What lies above all
    /// bounds counts as the highest. `None` where there are none.
    pub fn percentile_us(&self, percent: f64) -> Option<u64> {
        let all: u64 = self.counts.iter().sum();
        if all == 0 {
            return None;
        }
        let wanted = all as f64 * percent / 100.0;
        let (mut below, mut lower) = (0.0, 0);
        for (count, upper) in self.counts.iter().zip(&self.upper_us) {
            let count = *count as f64;
            if count > 0.0 && below + count >= wanted {
                let share = (wanted - below).max(0.0) / count;
                return Some(lower + ((upper - lower) as f64 * share).round() as u64);
            }
            (below, lower) = (below + count, *upper);
        }
        self.upper_us.last().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(counts: &[u64]) -> Buckets {
        let told = meta::Durations { upper_us: vec![100, 300, 1000], counts: counts.to_vec() };
        Buckets::of(Some(&told))
    }

    #[test]
    fn a_percentile_lies_within_its_bucket() {
        let of = |counts: &[u64], percent| buckets(counts).percentile_us(percent);
        assert_eq!(of(&[10, 0, 0, 0], 50.0), Some(50));
        assert_eq!(of(&[10, 10, 0, 0], 50.0), Some(100));
        assert_eq!(of(&[10, 10, 0, 0], 75.0), Some(200));
        assert_eq!(of(&[98, 0, 2, 0], 99.0), Some(650), "half of the last bucket");
        assert_eq!(of(&[98, 0, 0, 2], 99.0), Some(1000), "above all bounds: the highest");
        assert_eq!(of(&[0, 0, 4, 0], 50.0), Some(650));
        assert_eq!(of(&[0, 0, 0, 0], 50.0), None);
    }

    #[test]
    fn what_cannot_be_compared_is_nothing() {
        let (before, now) = (buckets(&[5, 5, 0, 0]), buckets(&[5, 7, 0, 0]));
        assert_eq!(now.since(&before).percentile_us(50.0), Some(200), "two in the second bucket");
        assert_eq!(now.since(&now).percentile_us(50.0), None);
        assert_eq!(now.since(&Buckets::default()).percentile_us(50.0), None);
        for (upper_us, counts) in [(vec![1], vec![1]), (vec![3, 2], vec![1, 1, 1])] {
            assert_eq!(Buckets::of(Some(&meta::Durations { upper_us, counts })), Buckets::default());
        }
    }
}
