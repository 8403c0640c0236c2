//! How much log a node keeps behind its durable state (docs/rules/storage.md#log-is-kept-for-those-behind).
//!
//! Pure: what is there goes in, what each replica may purge comes out.

use std::collections::VecDeque;
use std::time::Duration;

use openraft::Instant;

use crate::log_store::Volume;

/// Moments remembered of each log; the span is told that exactly.
const MARKS_MAX: u32 = 32;

/// Bounds of the log that a node keeps for replicas that are behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogKeep {
    /// Entries of each group kept at least, unless they are too many bytes.
    pub entries_min: u64,
    /// Entries younger than this are kept: a replica that was away for less needs no snapshot.
    pub span: Duration,
    /// Bytes of one replica's log beyond which it shrinks, whoever needs it.
    pub replica_bytes_max: u64,
    /// Bytes of all replicas' logs together; the longest shrink first.
    pub node_bytes_max: u64,
    /// A log shrinks by at least so many entries at once, and as many go between two positions of its state.
    pub step_entries: u64,
}

impl Default for LogKeep {
    /// Five minutes of writes, within a gigabyte a node.
    fn default() -> Self {
        Self {
            entries_min: 2_000,
            span: Duration::from_secs(5 * 60),
            replica_bytes_max: 256 << 20,
            node_bytes_max: 1 << 30,
            step_entries: 1_000,
        }
    }
}

/// One replica's log, and who needs what of it. Each number is the index of a first entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// The log's first.
    pub begin: u64,
    /// The first that must stay, because a crash could take its effect back.
    pub covered: u64,
    /// The first that is not applied.
    pub applied: u64,
    /// The first that is younger than the span.
    pub recent: u64,
    /// The first that each follower lacks which is there to receive it.
    pub followers: Vec<u64>,
    /// The first behind the oldest snapshot on its way to a follower.
    pub snapshot: Option<u64>,
    /// Bytes by index.
    pub volume: Volume,
}

impl Standing {
    /// The first that somebody needs who would otherwise be sent a snapshot, or another one.
    fn needed(&self) -> Option<u64> {
        let needs = self.followers.iter().copied().chain(self.snapshot);
        needs.filter(|from| *from >= self.begin).min()
    }

    /// The first to keep if bytes did not matter.
    fn wanted(&self, keep: &LogKeep) -> u64 {
        let own = self.applied.saturating_sub(keep.entries_min).min(self.recent);
        own.min(self.needed().unwrap_or(u64::MAX)).min(self.covered).max(self.begin)
    }
}

/// A log that is to shrink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shrink {
    /// The first entry that stays; there is one before it that goes.
    pub from: u64,
    /// Somebody needed more than the bounds allow.
    pub gives_up: bool,
}

/// What becomes of each of `standings`, in their order; `None`: nothing.
pub(super) fn plan(standings: &[Standing], keep: &LogKeep) -> Vec<Option<Shrink>> {
    let wanted: Vec<u64> = standings.iter().map(|standing| standing.wanted(keep)).collect();
    let bytes = standings.iter().zip(&wanted).map(|(standing, from)| standing.volume.bytes_from(*from));
    let bytes_max = level(bytes.collect(), keep.node_bytes_max).min(keep.replica_bytes_max);
    let shrink = |(standing, wanted): (&Standing, &u64)| {
        let from = standing.volume.begin_keeping(bytes_max).min(standing.covered).max(*wanted);
        let gives_up = standing.needed().is_some_and(|needed| from > needed);
        let due = from - standing.begin >= keep.step_entries.max(1) || from > *wanted;
        due.then_some(Shrink { from, gives_up })
    };
    standings.iter().zip(&wanted).map(shrink).collect()
}

/// The most that each may have so that all have at most `max`: those that want less leave the rest to the others.
fn level(mut wants: Vec<u64>, max: u64) -> u64 {
    wants.sort_unstable();
    let mut left = max;
    for (served, want) in wants.iter().enumerate() {
        let share = left / (wants.len() - served) as u64;
        if *want > share {
            return share;
        }
        left -= want;
    }
    u64::MAX
}

/// How long a replica's log was, and when.
pub(super) struct Written<I>(VecDeque<(I, u64)>);

impl<I> Default for Written<I> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<I: Instant> Written<I> {
    /// Every entry below `next` is there `now`. Returns the first that may be younger than `span`.
    pub fn note(&mut self, now: I, next: u64, span: Duration) -> u64 {
        if self.0.back().is_none_or(|(last, _)| *last + span / MARKS_MAX <= now) {
            self.0.push_back((now, next));
        }
        while self.0.get(1).is_some_and(|(at, _)| *at + span <= now) {
            self.0.pop_front();
        }
        // Without a mark that old, any entry may have been written a moment before the first.
        self.0.front().filter(|(at, _)| *at + span <= now).map_or(0, |(_, next)| *next)
    }
}

#[cfg(test)]
mod tests {
    use openraft::AsyncRuntime;

    use super::*;
    use crate::sim::Simulation;

    type SimInstant = <Simulation as AsyncRuntime>::Instant;

    const KEEP: LogKeep = LogKeep {
        entries_min: 100,
        span: Duration::from_secs(60),
        replica_bytes_max: 10_000,
        node_bytes_max: 15_000,
        step_entries: 10,
    };

    /// A log of entries of ten bytes; all is applied, durable and old.
    fn standing(begin: u64, end: u64) -> Standing {
        let volume = Volume::opened(begin, end, 10);
        Standing { begin, covered: end, applied: end, recent: end, volume, ..Standing::default() }
    }

    fn shrink(standing: Standing) -> Option<Shrink> {
        plan(&[standing], &KEEP)[0]
    }

    fn upto(from: u64) -> Option<Shrink> {
        Some(Shrink { from, gives_up: false })
    }

    #[test]
    fn old_entries_go_in_steps_and_so_many_stay() {
        assert_eq!(shrink(standing(0, 500)), upto(400));
        assert_eq!(shrink(standing(391, 500)), None, "a step of nine");
        assert_eq!(shrink(standing(0, 50)), None);
        assert_eq!(shrink(Standing { covered: 20, ..standing(0, 500) }), upto(20), "the rest is not durable");
        assert_eq!(shrink(Standing { recent: 30, ..standing(0, 500) }), upto(30), "the rest is young");
    }

    #[test]
    fn what_a_follower_lacks_stays_while_it_is_in_reach() {
        let followed = |followers: &[u64]| Standing { followers: followers.to_vec(), ..standing(100, 900) };
        assert_eq!(shrink(followed(&[900, 250])), upto(250));
        assert_eq!(shrink(followed(&[900, 105])), None);
        assert_eq!(shrink(followed(&[900, 99])), upto(800), "it needs a snapshot in any case");
    }

    #[test]
    fn what_follows_a_snapshot_on_its_way_stays() {
        let sending = Standing { followers: vec![0], snapshot: Some(300), ..standing(100, 900) };
        assert_eq!(shrink(sending.clone()), upto(300));
        let longer = Standing { volume: Volume::opened(100, 900, 100), ..sending };
        assert_eq!(shrink(longer), Some(Shrink { from: 800, gives_up: true }), "100 of 100 bytes fit");
    }

    #[test]
    fn what_is_not_durable_stays_whatever_its_bytes() {
        let large = Standing { covered: 150, volume: Volume::opened(100, 900, 1_000), ..standing(100, 900) };
        assert_eq!(shrink(large), upto(150));
    }

    #[test]
    fn the_longest_logs_pay_for_a_node_that_keeps_too_much() {
        let young = |end| Standing { recent: 0, ..standing(0, end) };
        // 9,000 + 9,000 + 3,000 bytes, of 15,000.
        let planned = plan(&[young(900), young(900), young(300)], &KEEP);
        assert_eq!(planned, [upto(300), upto(300), None]);
        assert_eq!(level(vec![], 10), u64::MAX);
        assert_eq!(level(vec![3, 3], 10), u64::MAX);
        assert_eq!(level(vec![30, 2], 10), 8);
    }

    #[test]
    fn a_span_is_told_from_marks_that_are_bounded() {
        Simulation::with_seed(1).block_on(async {
            let mut written = Written::<SimInstant>::default();
            let start = SimInstant::now();
            for second in 0..600 {
                let recent = written.note(start + Duration::from_secs(second), 10 * second, KEEP.span);
                let exact = 10 * second.saturating_sub(60);
                assert!(recent <= exact && exact - recent <= 20, "{recent} at {second} s");
                assert!(written.0.len() <= MARKS_MAX as usize + 2, "{}", written.0.len());
            }
            let mut none = Written::<SimInstant>::default();
            assert_eq!(none.note(start, 7, Duration::ZERO), 7);
            assert_eq!(none.note(start, 9, Duration::ZERO), 9);
        });
    }
}
