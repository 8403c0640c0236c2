//! `Volume`: about how many bytes of one replica's log lie from an index on.
//!
//! Pure bookkeeping under the lock of `replica_log`. Entries are counted in buckets; within one they count alike.

use std::collections::VecDeque;

/// A bucket that holds this much is followed by a new one: fine enough for a bound of many MiB.
const BUCKET_BYTES: u64 = 1 << 20;
/// The oldest buckets become one beyond this many: a gigabyte of log is counted to the MiB.
const BUCKETS_MAX: usize = 1024;

/// Bytes of a log by index. The default is an empty log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Volume {
    /// Index of the first entry counted.
    begin: u64,
    /// In the order of their entries, without a gap.
    buckets: VecDeque<Bucket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Bucket {
    /// Index after its last entry.
    end: u64,
    bytes: u64,
}

/// The share of `bytes` that `part` of `whole` entries have.
fn share(bytes: u64, part: u64, whole: u64) -> u64 {
    let share = u128::from(bytes) * u128::from(part) / u128::from(whole.max(1));
    u64::try_from(share).unwrap_or(u64::MAX)
}

impl Volume {
    /// Entries `begin <= index < end` that were there before, of `entry_bytes` each.
    pub(crate) fn opened(begin: u64, end: u64, entry_bytes: u64) -> Self {
        let bytes = end.saturating_sub(begin).saturating_mul(entry_bytes);
        let buckets = (begin < end).then_some(Bucket { end, bytes }).into_iter().collect();
        Self { begin, buckets }
    }

    fn end(&self) -> u64 {
        self.buckets.back().map_or(self.begin, |bucket| bucket.end)
    }

    /// Entries from index `first` on, below `end`, of `bytes` together, follow.
    pub(super) fn append(&mut self, first: u64, end: u64, bytes: u64) {
        if self.buckets.is_empty() {
            self.begin = first;
        }
        debug_assert!(first == self.end() && first <= end, "entries {first}..{end} do not follow {self:?}");
        match self.buckets.back_mut() {
            Some(last) if last.bytes < BUCKET_BYTES => {
                last.end = end;
                last.bytes += bytes;
            }
            _ if first == end => {}
            _ => self.buckets.push_back(Bucket { end, bytes }),
        }
        if self.buckets.len() > BUCKETS_MAX
            && let Some(oldest) = self.buckets.pop_front()
            && let Some(next) = self.buckets.front_mut()
        {
            next.bytes += oldest.bytes;
        }
    }

    /// Removes the entries from `end` on.
    pub(super) fn cut_from(&mut self, end: u64) {
        while let Some(last) = self.buckets.pop_back() {
            let begin = self.end();
            if end <= begin {
                continue;
            }
            let kept = end.min(last.end);
            let bytes = share(last.bytes, kept - begin, last.end - begin);
            self.buckets.push_back(Bucket { end: kept, bytes });
            return;
        }
        self.begin = self.begin.min(end);
    }

    /// Removes the entries below `begin`.
    pub(super) fn cut_below(&mut self, begin: u64) {
        while let Some(first) = self.buckets.front_mut() {
            if begin < first.end {
                let whole = first.end - self.begin;
                if begin > self.begin {
                    first.bytes = share(first.bytes, first.end - begin, whole);
                    self.begin = begin;
                }
                return;
            }
            self.begin = first.end;
            self.buckets.pop_front();
        }
        self.begin = self.begin.max(begin);
    }

    /// Bytes of the entries from index `from` on.
    pub(crate) fn bytes_from(&self, from: u64) -> u64 {
        let mut begin = self.begin;
        let mut total: u64 = 0;
        for bucket in &self.buckets {
            let counted = bucket.end.saturating_sub(from.max(begin));
            total = total.saturating_add(share(bucket.bytes, counted, bucket.end - begin));
            begin = bucket.end;
        }
        total
    }

    /// The least index from which on the entries have at most `bytes_max` together.
    pub(crate) fn begin_keeping(&self, bytes_max: u64) -> u64 {
        let mut left = bytes_max;
        for (at, bucket) in self.buckets.iter().enumerate().rev() {
            if bucket.bytes > left {
                let begin = if at == 0 { self.begin } else { self.buckets[at - 1].end };
                return bucket.end - share(bucket.end - begin, left, bucket.bytes);
            }
            left -= bucket.bytes;
        }
        self.begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_follow_what_is_appended_and_cut() {
        let mut volume = Volume::default();
        volume.append(5, 15, 2 * BUCKET_BYTES);
        volume.append(15, 25, 100);
        assert_eq!(volume.bytes_from(0), 2 * BUCKET_BYTES + 100);
        assert_eq!(volume.bytes_from(10), BUCKET_BYTES + 100);
        assert_eq!(volume.bytes_from(20), 50);
        assert_eq!(volume.bytes_from(25), 0);
        volume.cut_from(20);
        assert_eq!((volume.bytes_from(15), volume.bytes_from(20)), (50, 0));
        volume.append(20, 21, 7);
        volume.cut_below(10);
        assert_eq!(volume.bytes_from(0), BUCKET_BYTES + 57);
        volume.cut_below(21);
        assert_eq!(volume.bytes_from(0), 0);
        volume.append(90, 91, 3);
        assert_eq!(volume.bytes_from(0), 3, "an empty log goes on anywhere");
        volume.cut_from(0);
        assert_eq!(volume.bytes_from(0), 0);
    }

    #[test]
    fn what_is_kept_fits_its_bound() {
        let mut volume = Volume::opened(100, 1_100, 1_024);
        for index in 1_100..5_100 {
            volume.append(index, index + 1, 2_048);
        }
        for bound in [0, 5_000, 100_000, 3 << 20, 8 << 20] {
            let from = volume.begin_keeping(bound);
            let kept = volume.bytes_from(from);
            assert!(kept <= bound && kept + 2 * 2_048 >= bound, "{kept} of {bound} from {from}");
        }
        assert_eq!(volume.begin_keeping(u64::MAX), 100);
        assert_eq!(volume.begin_keeping(0), 5_100);
    }

    #[test]
    fn an_endless_log_is_counted_in_bounded_memory() {
        let mut volume = Volume::default();
        for index in 0..2 * BUCKETS_MAX as u64 {
            volume.append(index, index + 1, BUCKET_BYTES);
        }
        assert_eq!(volume.buckets.len(), BUCKETS_MAX);
        assert_eq!(volume.bytes_from(0), 2 * BUCKETS_MAX as u64 * BUCKET_BYTES);
    }
}
