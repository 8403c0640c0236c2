//! One state of the model, and its bounds.

use crate::reader::{Id, Reader};
use crate::shard::{Bug, Shard, Tick};

/// The shards, a reader of their feed, and how much may happen.
#[derive(Clone, Debug)]
pub struct Feed {
    pub shards: usize,
    /// Writes, over all shards.
    pub puts: u8,
    /// Changes of leaders, over all shards.
    pub elections: u8,
    /// Rounds of the reader.
    pub rounds: u8,
    /// What clocks may read.
    pub clocks: &'static [Tick],
    /// Sizes of pages.
    pub limits: &'static [usize],
    pub bug: Option<Bug>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    pub shards: Vec<Shard>,
    pub reader: Reader,
    pub puts_left: u8,
    pub elections_left: u8,
    pub rounds_left: u8,
}

impl World {
    /// The events of all shards up to `tick`, in the order of the feed.
    pub fn events_to(&self, tick: Tick) -> Vec<Id> {
        let events = self.shards.iter().enumerate();
        let events = events.flat_map(|(shard, it)| it.events().iter().map(move |t| (*t, shard)));
        let mut events: Vec<Id> = events.filter(|(t, _)| *t <= tick).collect();
        events.sort_unstable();
        events
    }
}
