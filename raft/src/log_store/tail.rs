//! The newest entries of one replica's log, decoded, in memory. Contiguous by construction.

use std::collections::VecDeque;

use crate::codec::Entry;

/// Cost of an entry beyond its encoded bytes: the decoded structure and its place in the deque.
const ENTRY_OVERHEAD_BYTES: usize = 160;

#[derive(Default)]
pub(super) struct Tail {
    entries: VecDeque<(Entry, usize)>,
    bytes: usize,
}

impl Tail {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn first_index(&self) -> Option<u64> {
        self.entries.front().map(|(entry, _)| entry.log_id.index)
    }

    /// Index after the last entry.
    pub(super) fn end(&self) -> Option<u64> {
        self.entries.back().map(|(entry, _)| entry.log_id.index + 1)
    }

    pub(super) fn push(&mut self, entry: Entry, encoded_bytes: usize) {
        let bytes = encoded_bytes + ENTRY_OVERHEAD_BYTES;
        self.bytes += bytes;
        self.entries.push_back((entry, bytes));
    }

    pub(super) fn get(&self, index: u64) -> Option<&Entry> {
        let at = index.checked_sub(self.first_index()?)?;
        self.entries.get(usize::try_from(at).ok()?).map(|(entry, _)| entry)
    }

    /// Entries from `from` on, below `to`, a prefix of them if they pass `bytes_max`, at least one if
    /// there is one.
    pub(super) fn range(&self, from: u64, to: u64, bytes_max: usize) -> Vec<Entry> {
        let Some(first) = self.first_index() else { return Vec::new() };
        let skip = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        self.entries
            .iter()
            .skip(skip)
            .take_while(|(entry, cost)| {
                let is_first = bytes == 0;
                bytes += cost;
                entry.log_id.index < to && (is_first || bytes <= bytes_max)
            })
            .map(|(entry, _)| entry.clone())
            .collect()
    }

    /// Removes the entries from `index` on.
    pub(super) fn cut_from(&mut self, index: u64) {
        while self.entries.back().is_some_and(|(entry, _)| entry.log_id.index >= index) {
            if let Some((_, bytes)) = self.entries.pop_back() {
                self.bytes -= bytes;
            }
        }
    }

    /// Removes the entries below `index`.
    pub(super) fn cut_below(&mut self, index: u64) {
        self.evict(index, 0);
    }

    /// Removes the oldest entries below `index` until at most `bytes_max` remain.
    pub(super) fn evict(&mut self, index: u64, bytes_max: usize) {
        while self.bytes > bytes_max && self.first_index().is_some_and(|first| first < index) {
            if let Some((_, bytes)) = self.entries.pop_front() {
                self.bytes -= bytes;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use openraft::impls::leader_id_adv::LeaderId;

    use super::*;
    use crate::codec::{LogId, Payload};

    fn entry(index: u64) -> Entry {
        let leader_id = LeaderId { term: 1, node_id: 1 };
        Entry { log_id: LogId { leader_id, index }, payload: Payload::Blank }
    }

    fn tail(indexes: std::ops::Range<u64>) -> Tail {
        let mut tail = Tail::default();
        indexes.for_each(|index| tail.push(entry(index), 40));
        tail
    }

    fn indexes(entries: &[Entry]) -> Vec<u64> {
        entries.iter().map(|entry| entry.log_id.index).collect()
    }

    #[test]
    fn ranges_are_capped_by_bytes_and_never_empty() {
        let tail = tail(5..10);
        assert_eq!(indexes(&tail.range(5, 100, usize::MAX)), [5, 6, 7, 8, 9]);
        assert_eq!(indexes(&tail.range(7, 9, usize::MAX)), [7, 8]);
        assert_eq!(indexes(&tail.range(6, 9, 1)), [6]);
        assert_eq!(indexes(&tail.range(6, 9, 400)), [6, 7]);
        assert!(tail.range(10, 20, 100).is_empty());
        assert!(tail.get(4).is_none() && tail.get(10).is_none());
        assert_eq!(tail.get(9).map(|entry| entry.log_id.index), Some(9));
    }

    #[test]
    fn bytes_follow_every_cut() {
        let mut tail = tail(0..10);
        assert_eq!(tail.bytes(), 2_000);
        tail.cut_from(8);
        tail.cut_below(2);
        assert_eq!((tail.bytes(), tail.first_index()), (1_200, Some(2)));
        tail.evict(100, 700);
        assert_eq!((tail.bytes(), tail.first_index()), (600, Some(5)));
        tail.evict(6, 0);
        assert_eq!((tail.bytes(), tail.first_index()), (400, Some(6)));
        tail.cut_from(0);
        assert_eq!((tail.bytes(), tail.first_index()), (0, None));
    }
}
