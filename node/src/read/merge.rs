//! Several ordered sources as one: the merge of events over users and over shards.
//!
//! A source tells its items in pages, and how far it has looked. Nothing above that may be told of any other source,
//! so that a page never passes over an item (docs/rules/feed.md#events-rise).

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// Some items of a source in the order asked for.
pub(crate) struct Page<T> {
    pub items: Vec<(u64, T)>,
    /// All up to this id was looked at, the id included; `None`: all there is.
    pub reached: Option<u64>,
}

/// One direction of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    Ascending,
    Descending,
}

impl Direction {
    pub(crate) fn of(reverse: bool) -> Self {
        if reverse { Self::Descending } else { Self::Ascending }
    }

    /// A number that rises in this direction.
    pub(crate) fn rank(self, id: u64) -> u64 {
        match self {
            Self::Ascending => id,
            Self::Descending => !id,
        }
    }
}

/// How much one merge may give and ask.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// Items, from 1.
    pub limit: usize,
    /// Questions. Every source is asked once in any case; when there are no more, the merge ends where a source has
    /// looked at all it told.
    pub asks_max: usize,
}

/// Items that a source has told and that were not taken yet.
struct Source<T> {
    ahead: VecDeque<(u64, T)>,
    reached: Option<u64>,
    began: bool,
}

impl<T> Source<T> {
    /// Whether it must be asked before anything else is taken.
    fn is_drained(&self) -> bool {
        self.ahead.is_empty() && (!self.began || self.reached.is_some())
    }
}

/// The first items of all sources together. `ask(source, from)` gives a source's next page behind the id
/// `from`, or its first page; a page without items and with `reached` ends the merge there, because its source has
/// looked at enough.
pub(crate) fn merge<T, E>(
    sources: usize,
    Bounds { limit, asks_max }: Bounds,
    direction: Direction,
    mut ask: impl FnMut(usize, Option<u64>) -> Result<Page<T>, E>,
) -> Result<Page<T>, E> {
    let new = || Source { ahead: VecDeque::new(), reached: None, began: false };
    let mut told: Vec<Source<T>> = std::iter::repeat_with(new).take(sources).collect();
    let mut heads = BinaryHeap::with_capacity(sources);
    // Nothing beyond this id is known of every source.
    let mut bound: Option<u64> = None;
    let mut drained: Vec<usize> = (0..sources).collect();
    let mut asks_left = asks_max.max(sources);
    let mut items = Vec::with_capacity(limit.min(sources.saturating_mul(16)));
    loop {
        while let Some(number) = drained.pop() {
            let source = &mut told[number];
            let page = if asks_left > 0 {
                asks_left -= 1;
                ask(number, source.reached)?
            } else {
                Page { items: Vec::new(), reached: source.reached }
            };
            (source.began, source.reached) = (true, page.reached);
            source.ahead.extend(page.items);
            match (source.ahead.front(), source.reached) {
                (Some((id, _)), _) => heads.push(Reverse((direction.rank(*id), number))),
                (None, Some(reached)) => {
                    let nearer = bound.is_none_or(|bound| direction.rank(reached) < direction.rank(bound));
                    bound = if nearer { Some(reached) } else { bound };
                }
                (None, None) => {}
            }
        }
        let Some(Reverse((rank, number))) = heads.pop() else { return Ok(Page { items, reached: bound }) };
        if items.len() == limit {
            let last = items.last().map(|(id, _)| *id);
            return Ok(Page { items, reached: last.or(bound) });
        }
        if bound.is_some_and(|bound| rank > direction.rank(bound)) {
            return Ok(Page { items, reached: bound });
        }
        let source = &mut told[number];
        items.extend(source.ahead.pop_front());
        match source.ahead.front() {
            Some((id, _)) => heads.push(Reverse((direction.rank(*id), number))),
            None if source.is_drained() && items.len() < limit => drained.push(number),
            // The page is full: the source need not be asked, but it has more.
            None if source.is_drained() => {
                let last = items.last().map(|(id, _)| *id);
                return Ok(Page { items, reached: last });
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Reads all of it by pages, as a client does.
    fn read_all(
        sources: &[Vec<u64>],
        bounds: Bounds,
        share: usize,
        looks: usize,
        direction: Direction,
    ) -> Vec<u64> {
        let mut found = Vec::new();
        let mut after = None;
        for _ in 0..10_000 {
            let mut asked = 0;
            let page = merge(sources.len(), bounds, direction, |source, from| {
                asked += 1;
                let from = from.or(after);
                let behind = |id: &&u64| from.is_none_or(|from| direction.rank(**id) > direction.rank(from));
                let rest: Vec<u64> = sources[source].iter().filter(behind).copied().collect();
                // Every third question finds that it has looked at enough.
                if looks > 0 && asked % looks == 0 && from.is_some() && !rest.is_empty() {
                    return Ok::<_, ()>(Page { items: Vec::new(), reached: from });
                }
                let items: Vec<(u64, u64)> = rest.iter().take(share).map(|id| (*id, *id)).collect();
                let reached = (rest.len() > share).then(|| items[share - 1].0);
                Ok(Page { items, reached })
            })
            .expect("infallible");
            assert!(page.items.len() <= bounds.limit && asked <= bounds.asks_max.max(sources.len()));
            found.extend(page.items.iter().map(|(id, _)| *id));
            match page.reached {
                None => return found,
                Some(reached) => after = Some(reached),
            }
        }
        panic!("the pages do not end");
    }

    proptest! {
        #[test]
        fn pages_of_merged_sources_are_the_sorted_whole(
            ids in prop::collection::btree_map(1u64..500, 0usize..4, 0..120),
            limit in 1usize..20,
            asks_max in 0usize..12,
            share in 1usize..8,
            looks in prop_oneof![Just(0usize), 5usize..9],
            reverse in any::<bool>(),
        ) {
            let direction = Direction::of(reverse);
            let mut sources = vec![Vec::new(); 4];
            for (id, source) in &ids {
                sources[*source].push(*id);
            }
            let mut whole: Vec<u64> = ids.keys().copied().collect();
            if reverse {
                whole.reverse();
                sources.iter_mut().for_each(|source| source.reverse());
            }
            prop_assert_eq!(read_all(&sources, Bounds { limit, asks_max }, share, looks, direction), whole);
        }
    }

    #[test]
    fn no_source_and_no_room_are_no_items() {
        let none = merge::<(), ()>(0, Bounds { limit: 5, asks_max: 0 }, Direction::Ascending, |_, _| Err(()))
            .expect("nothing to ask");
        assert!(none.items.is_empty() && none.reached.is_none());
    }
}
