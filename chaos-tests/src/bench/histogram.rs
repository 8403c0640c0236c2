//! Latencies in logarithmic buckets: bounded memory, quantiles within 1.6 %.

/// Buckets in each power of two: the relative error is below 1/64.
const SUB_BUCKETS: u64 = 64;
const SUB_BITS: u32 = 6;
/// 2^40 ns are 18 minutes: longer than any timeout here.
const MAX_BITS: u32 = 40;
const BUCKETS: usize = ((MAX_BITS - SUB_BITS + 1) as usize) * SUB_BUCKETS as usize;

/// Latencies in buckets of about 1.6 % width, from nanoseconds to minutes.
#[derive(Clone, Debug)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }
}

impl Histogram {
    /// Counts one latency.
    pub fn record(&mut self, nanoseconds: u64) {
        self.counts[bucket(nanoseconds)] += 1;
        self.total += 1;
    }

    /// Adds the counts of another connection.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.counts.iter_mut().zip(&other.counts) {
            *count += more;
        }
        self.total += other.total;
    }

    /// Number of recorded latencies.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Upper edge of the bucket that holds the quantile, in nanoseconds; 0 when empty.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.total as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return upper_edge(index);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    let value = value.min((1 << MAX_BITS) - 1);
    if value < SUB_BUCKETS {
        return value as usize;
    }
    let exponent = 63 - value.leading_zeros() - SUB_BITS;
    let sub = (value >> exponent) - SUB_BUCKETS;
    ((u64::from(exponent) + 1) * SUB_BUCKETS + sub) as usize
}

fn upper_edge(index: usize) -> u64 {
    let index = index as u64;
    if index < SUB_BUCKETS {
        return index;
    }
    let exponent = index / SUB_BUCKETS - 1;
    let sub = index % SUB_BUCKETS + SUB_BUCKETS;
    ((sub + 1) << exponent) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_close_to_the_truth() {
        let mut histogram = Histogram::default();
        for value in 1..=100_000u64 {
            histogram.record(value * 1000);
        }
        for (quantile, truth) in [(0.5, 50_000_000.0), (0.99, 99_000_000.0), (0.999, 99_900_000.0)] {
            let found = histogram.quantile(quantile) as f64;
            assert!((found / truth - 1.0).abs() < 0.02, "{quantile}: {found} against {truth}");
        }
        assert_eq!(histogram.total(), 100_000);
    }

    #[test]
    fn every_value_lies_below_its_edge() {
        for value in [0, 1, 63, 64, 65, 1000, 123_456_789, (1 << MAX_BITS) - 1] {
            assert!(upper_edge(bucket(value)) >= value, "{value}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }
}
