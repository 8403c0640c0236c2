//! Each replica erases its own chunks of dead objects, once no crash can lose the row that says so. Otherwise a replica
//! could come back with a state that refers to erased chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rowhouse_proto::wire::state::object::State;
use rowhouse_raft::ReplicaId;
use tokio_util::sync::CancellationToken;

use super::progress::{Damage, Progress};
use super::shared::Objects;
use crate::actor::Pace;
use crate::blobs::CompactReport;
use crate::state::objects::{ObjectId, Place, in_state};
use crate::{Error, Group};

const TICK: Duration = Duration::from_secs(1);
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Steps of compaction in one beat: about 256 MiB, so that space comes back faster than writes take it, and
/// erasing goes on between.
const COMPACT_STEPS_MAX: usize = 64;

/// Objects that a replica waits to erase.
#[derive(Default)]
struct Pass {
    /// Everything before it is erased.
    from_ms: u64,
    /// And of those that died at that very age of the shard, these.
    erased: BTreeSet<ObjectId>,
    /// Dead as of this log index.
    dead: Option<(u64, Vec<Place>)>,
}

/// Runs until stopped.
pub async fn erase(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    let mut passes: BTreeMap<ReplicaId, Pass> = BTreeMap::new();
    let mut pace = Pace::new(TICK, stop);
    while pace.goes_on().await {
        for group in objects.shards() {
            objects.erase_dead(&group, passes.entry(group.replica()).or_default()).await?;
        }
        objects.compact().await?;
    }
    Ok(())
}

impl Objects {
    async fn compact(&self) -> Result<(), Error> {
        for _ in 0..COMPACT_STEPS_MAX {
            let report = self.blobs.compact().await?;
            for key in &report.lost {
                if let Some(group) = self.shards().into_iter().find(|group| group.replica() == key.replica) {
                    let (group, object, index) = (group.id(), key.version, Some(key.index));
                    self.progress.damaged(Damage { group, object, index });
                }
            }
            if report == CompactReport::default() {
                break;
            }
        }
        Ok(())
    }

    async fn erase_dead(&self, group: &Group, pass: &mut Pass) -> Result<(), Error> {
        let (index, dead) = match pass.dead.take() {
            Some(waiting) => waiting,
            None => {
                let mut dead = dead_rows(group, pass.from_ms)?;
                dead.retain(|place| !pass.erased.contains(&place.id));
                (group.status().applied, dead)
            }
        };
        let Some(last) = dead.last() else { return Ok(()) };
        if group.durable_index() < index {
            pass.dead = Some((index, dead));
            return Ok(());
        }
        if last.at > pass.from_ms {
            pass.from_ms = last.at;
            pass.erased.clear();
        }
        for place in dead {
            self.blobs.delete_version(group.replica(), place.id).await?;
            Progress::count(&self.progress.erased);
            if place.at == pass.from_ms {
                pass.erased.insert(place.id);
            }
        }
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
