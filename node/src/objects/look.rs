//! Looks for the chunks of live objects in this node's index of chunks, and notes what is missing.
//!
//! Each object is looked at once. A replica that has nothing new to look at still says how far it has seen, because
//! nobody may count on a replica that does not know (docs/rules/storage.md#a-replica-says-what-it-has-seen).

use std::ops::Range;
use std::time::Duration;

use rowhouse_proto::wire::state::{Object, object::State};
use tokio_util::sync::CancellationToken;

use super::shared::{Objects, applied, chunk_count, key, live};
use crate::actor::Pace;
use crate::state::objects::{ObjectId, Place, in_state};
use crate::{Error, Group};

const TICK: Duration = Duration::from_millis(500);
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Chunks looked up before others have the thread, and asked of another replica in one call.
pub(super) const PIECE_CHUNKS: u32 = 1024;

impl Objects {
    /// Until stopped.
    pub(super) async fn look_often(&self, stop: CancellationToken) -> Result<(), Error> {
        let mut pace = Pace::new(TICK, stop);
        while pace.goes_on().await {
            for group in self.shards() {
                self.look(&group).await?;
            }
        }
        Ok(())
    }

    async fn look(&self, group: &Group) -> Result<(), Error> {
        let (replica, inventory) = (group.replica(), &self.inventory);
        // Read before the rows are: whatever was applied by then is among them. Nothing is known of a state that
        // holds nothing yet.
        let applied = applied(group);
        if applied == 0 || inventory.stock(replica).seen == Some(applied) {
            return Ok(());
        }
        while let Some(looked) = inventory.looked(replica) {
            let from = Place::first_at(looked + 1);
            let page = group.read_latest(|view| in_state(view, State::Live, from, u64::MAX - 1, PAGE))?;
            let Some(last) = page.last() else {
                inventory.looked_at_all(replica, applied);
                return Ok(());
            };
            let mut missing = Vec::new();
            for place in &page {
                let Some(row) = live(group, &place.id)? else { continue };
                if !self.is_complete(group, place.id, &row).await? {
                    missing.push(place.id);
                }
            }
            inventory.looked_at(replica, last.at, missing);
            // Every lookup is a read of the index: others want the thread as well.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    async fn is_complete(&self, group: &Group, id: ObjectId, row: &Object) -> Result<bool, Error> {
        let end = chunk_count(row.length);
        Ok(self.next_gap(group, id, 0..end).await?.is_empty())
    }

    /// The first chunks of a range that are not here, at most `PIECE_CHUNKS`; empty if all are.
    pub(super) async fn next_gap(
        &self,
        group: &Group,
        id: ObjectId,
        within: Range<u32>,
    ) -> Result<Range<u32>, Error> {
        for piece in pieces(within.clone()) {
            let gap = first_gap(piece, |index| self.blobs.has(key(group, id, index)))?;
            if !gap.is_empty() {
                return Ok(gap);
            }
            tokio::task::yield_now().await;
        }
        Ok(within.end..within.end)
    }
}

/// The parts of a range, each of at most `PIECE_CHUNKS`.
fn pieces(range: Range<u32>) -> impl Iterator<Item = Range<u32>> {
    let starts = range.clone().step_by(PIECE_CHUNKS as usize);
    starts.map(move |start| start..start.saturating_add(PIECE_CHUNKS).min(range.end))
}

/// The first run of chunks that are not there; empty if all are.
fn first_gap<E>(within: Range<u32>, mut has: impl FnMut(u32) -> Result<bool, E>) -> Result<Range<u32>, E> {
    let mut start = within.start;
    while start < within.end && has(start)? {
        start += 1;
    }
    let mut end = start;
    while end < within.end && (end == start || !has(end)?) {
        end += 1;
    }
    Ok(start..end)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_gap_of_any_length_is_asked_for_in_pieces() {
        for length in [0, 1, PIECE_CHUNKS, PIECE_CHUNKS + 1, 1 << 18] {
            let parts: Vec<Range<u32>> = pieces(5..5 + length).collect();
            assert!(parts.iter().all(|part| !part.is_empty() && part.len() <= PIECE_CHUNKS as usize));
            assert_eq!(parts.into_iter().flatten().count(), length as usize);
        }
    }

    proptest! {
        #[test]
        fn gaps_are_exactly_what_is_not_there(
            held in prop::collection::btree_set(0..40u32, 0..40),
            end in 0..40u32,
        ) {
            let (mut found, mut next) = (BTreeSet::new(), 0);
            loop {
                let gap = first_gap(next..end, |index| Ok::<_, Infallible>(held.contains(&index)));
                let gap = gap.expect("infallible");
                if gap.is_empty() {
                    break;
                }
                next = gap.end;
                found.extend(gap);
            }
            prop_assert_eq!(found, (0..end).filter(|index| !held.contains(index)).collect());
        }
    }
}
