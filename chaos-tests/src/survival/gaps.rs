//! How long clients could not write to a shard whose leader was killed.

use std::time::Duration;

use super::faults::Kill;
use crate::history::{Action, History, Outcome};

/// A gap that begins later than this after the kill has another cause.
const ATTRIBUTED: Duration = Duration::from_secs(5);

/// For each killed node that led shards with users: the longest pause between two acknowledged
/// writes on such a shard, milliseconds.
pub fn write_gaps(history: &History, kills: &[Kill], shard_of_user: &[u32]) -> Vec<f64> {
    let gaps = kills.iter().filter(|kill| !kill.led.is_empty());
    gaps.filter_map(|kill| {
        let shards = kill.led.iter().filter(|shard| shard_of_user.contains(shard));
        let longest =
            shards.filter_map(|shard| longest_gap(&acknowledged(history, *shard, shard_of_user), kill.at_ns));
        longest.max().map(|nanoseconds| nanoseconds as f64 / 1e6)
    })
    .collect()
}

/// Times of acknowledged writes on a shard, rising.
fn acknowledged(history: &History, shard: u32, shard_of_user: &[u32]) -> Vec<u64> {
    let writes = history.operations.iter().filter(|operation| {
        operation.action != Action::Read
            && operation.outcome != Outcome::Unknown
            && shard_of_user.get(operation.key.user) == Some(&shard)
    });
    let mut times: Vec<u64> = writes.map(|operation| operation.returned_ns).collect();
    times.sort_unstable();
    times
}

fn longest_gap(times: &[u64], kill_ns: u64) -> Option<u64> {
    let until = kill_ns + ATTRIBUTED.as_nanos() as u64;
    let spans = times.windows(2).filter(|pair| pair[1] > kill_ns && pair[0] < until);
    spans.map(|pair| pair[1] - pair[0].max(kill_ns)).max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_gap_is_counted_from_the_kill() {
        let seconds = |times: &[u64]| times.iter().map(|time| time * 1_000_000_000).collect::<Vec<_>>();
        let times = seconds(&[1, 2, 3, 8, 9, 40, 90]);
        assert_eq!(longest_gap(&times, 4_000_000_000), Some(4_000_000_000));
        assert_eq!(longest_gap(&times, 95_000_000_000), None);
    }
}
