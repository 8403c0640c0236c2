//! The clocks of all shards, as nodes told them in one round. Pure: asking is in `round.rs`.

use rowhouse_proto::wire::feed::ShardClock;

/// One place for each shard of the cluster.
pub struct Clocks(Vec<Option<Told>>);

#[derive(Clone, Copy, Default)]
struct Told {
    closed: u64,
    last_event: u64,
}

impl Clocks {
    /// Nobody has told anything of `shard_count` shards.
    pub fn new(shard_count: u32) -> Self {
        Self(vec![None; shard_count as usize])
    }

    /// Takes what a node told. An answer that was overtaken by another lowers nothing: clocks only rise.
    pub fn hear(&mut self, clock: ShardClock) {
        let Some(place) = self.0.get_mut(clock.shard as usize) else { return };
        let told = place.get_or_insert_default();
        told.closed = told.closed.max(clock.closed);
        told.last_event = told.last_event.max(clock.last_event);
    }

    /// The shards that nobody told of, or only as closed below `tick`.
    pub fn missing(&self, tick: u64) -> impl Iterator<Item = u32> {
        let is_missing = move |told: &Option<Told>| told.is_none_or(|told| told.closed < tick);
        (0..).zip(&self.0).filter(move |(_, told)| is_missing(told)).map(|(shard, _)| shard)
    }

    /// The tick of the newest event that was told of; 0: none.
    pub fn newest(&self) -> u64 {
        self.0.iter().flatten().map(|told| told.last_event).max().unwrap_or(0)
    }

    /// The tick up to which all shards are closed; 0 while one of them is missing.
    pub fn frontier(&self) -> u64 {
        self.0.iter().map(|told| told.map_or(0, |told| told.closed)).min().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn clock(shard: u32, closed: u64, last_event: u64) -> ShardClock {
        ShardClock { shard, closed, last_event }
    }

    fn missing(clocks: &Clocks, tick: u64) -> Vec<u32> {
        clocks.missing(tick).collect()
    }

    #[test]
    fn the_frontier_is_the_lowest_clock_once_all_are_told() {
        let mut clocks = Clocks::new(3);
        clocks.hear(clock(0, 10, 9));
        clocks.hear(clock(2, 20, 20));
        assert_eq!((missing(&clocks, 0), clocks.frontier()), (vec![1], 0));
        clocks.hear(clock(1, 15, 0));
        assert_eq!((missing(&clocks, 0), clocks.frontier(), clocks.newest()), (vec![], 10, 20));
        assert_eq!(missing(&clocks, clocks.newest()), [0, 1]);
        clocks.hear(clock(0, 25, 9));
        clocks.hear(clock(1, 20, 0));
        assert_eq!((missing(&clocks, 20), clocks.frontier()), (vec![], 20));
    }

    #[test]
    fn an_answer_that_comes_late_lowers_nothing_and_unknown_shards_count_for_nothing() {
        let mut clocks = Clocks::new(1);
        for told in [clock(0, 20, 15), clock(0, 10, 5), clock(1, 0, 99)] {
            clocks.hear(told);
        }
        assert_eq!((clocks.frontier(), clocks.newest()), (20, 15));
    }
}
