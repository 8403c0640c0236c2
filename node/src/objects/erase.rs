//! Erases the chunks of dead objects, each replica its own. Only once the row that says so cannot be lost by
//! a crash: else a replica could come back to a state that refers to what it erased.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::wire::state::object::State;
use rowhouse_raft::ReplicaId;
use tokio_util::sync::CancellationToken;

use super::{Objects, Progress};
use crate::actor::Pace;
use crate::state::objects::{Place, in_state};
use crate::{Error, Group};

const TICK: Duration = Duration::from_secs(1);
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Beats between two looks for segments worth compacting.
const COMPACT_EVERY: u32 = 10;

/// What a replica waits to erase.
#[derive(Default)]
struct Pass {
    /// Everything before it is erased.
    from_ms: u64,
    /// Dead as of this log index.
    dead: Option<(u64, Vec<Place>)>,
}

/// Runs until stopped.
pub async fn erase(objects: Arc<Objects>, stop: CancellationToken) -> Result<(), Error> {
    let mut passes: BTreeMap<ReplicaId, Pass> = BTreeMap::new();
    let mut pace = Pace::new(TICK, stop);
    let mut beat = 0_u32;
    while pace.goes_on().await {
        for group in objects.shards() {
            objects.erase_dead(&group, passes.entry(group.replica()).or_default()).await?;
        }
        beat = beat.wrapping_add(1);
        if beat.is_multiple_of(COMPACT_EVERY) {
            objects.blobs.compact().await?;
        }
    }
    Ok(())
}

impl Objects {
    async fn erase_dead(&self, group: &Group, pass: &mut Pass) -> Result<(), Error> {
        let (index, dead) = match pass.dead.take() {
            Some(waiting) => waiting,
            None => {
                let dead = dead_rows(group, pass.from_ms)?;
                (group.status().applied, dead)
            }
        };
        let Some(last) = dead.last() else { return Ok(()) };
        if group.durable_index() < index {
            pass.dead = Some((index, dead));
            return Ok(());
        }
        let from_ms = last.at;
        for place in dead {
            self.blobs.delete_version(group.replica(), place.id).await?;
            Progress::count(&self.progress.erased);
        }
        // More may die in the same millisecond of the shard's clock: that one is looked at again.
        pass.from_ms = from_ms;
        Ok(())
    }
}

fn dead_rows(group: &Group, from_ms: u64) -> Result<Vec<Place>, Error> {
    let mut dead = Vec::new();
    let mut from = Place::first_at(from_ms);
    loop {
        let page = group.read_latest(|view| in_state(view, State::Dead, from, u64::MAX - 1, PAGE))?;
        let full = page.len() == PAGE;
        dead.extend(page);
        match dead.last() {
            // The last one comes again, and erasing twice is nothing.
            Some(last) if full && *last != from => from = *last,
            _ => return Ok(dead),
        }
    }
}
