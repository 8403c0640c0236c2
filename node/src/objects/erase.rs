//! Each replica erases its own chunks of dead objects, once no crash can lose the row that says so. Otherwise a replica
//! could come back with a state that refers to erased chunks. A replica that is gone for good leaves no chunk behind
//! (docs/rules/storage.md#a-removed-replica-leaves-nothing-behind).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{StreamExt, stream};
use rowhouse_proto::wire::state::object::State;
use rowhouse_raft::ReplicaId;
use tokio_util::sync::CancellationToken;
use tracing::info;

use super::inventory::Damage;
use super::progress::Progress;
use super::shared::{Objects, applied};
use crate::actor::Pace;
use crate::blobs::CompactReport;
use crate::state::objects::{ObjectId, Place, in_state};
use crate::{Error, Group, planted};

const TICK: Duration = Duration::from_secs(1);
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Replicas that erase at once, so that one with much to erase does not hold up the others.
const REPLICAS_AT_ONCE: usize = 8;
/// Objects of one replica that are erased at once. Each waits behind the uploads that are queued for the disk, and then
/// all of them are one write.
const OBJECTS_AT_ONCE: usize = 128;
/// Turns of a dead replica in one beat, of some thousand chunks each: the living have their turns between.
const DEAD_TURNS_MAX: usize = 16;
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
        let mut next = BTreeMap::new();
        let turns = objects.shards().into_iter().map(|group| {
            let mut pass = passes.remove(&group.replica()).unwrap_or_default();
            async move {
                let erased = objects.erase_dead(&group, &mut pass).await;
                erased.map(|()| (group.replica(), pass))
            }
        });
        let mut turns = stream::iter(turns).buffer_unordered(REPLICAS_AT_ONCE);
        while let Some(passed) = turns.next().await {
            next.extend([passed?]);
        }
        drop(turns);
        passes = next;
        objects.erase_dead_replicas().await?;
        objects.compact().await?;
    }
    Ok(())
}

impl Objects {
    async fn compact(&self) -> Result<(), Error> {
        for _ in 0..COMPACT_STEPS_MAX {
            let report = self.blobs.compact().await?;
            for key in &report.lost {
                let (replica, object, index) = (key.replica, key.version, Some(key.index));
                self.damaged(Damage { replica, object, index });
            }
            if report == CompactReport::default() {
                break;
            }
        }
        Ok(())
    }

    /// By this node's own records: a replica counts as dead only once its tombstone is durable. Chunks that a call
    /// under way put here afterwards, or that a crash brought back, go in a later beat.
    async fn erase_dead_replicas(&self) -> Result<(), Error> {
        if planted::keep_removed_chunks() {
            return Ok(());
        }
        for replica in self.blobs.replicas() {
            if self.shards().iter().any(|group| group.replica() == replica) || !self.is_dead(replica)? {
                continue;
            }
            let mut more = true;
            for _ in 0..DEAD_TURNS_MAX {
                more = self.blobs.delete_of_replica(replica).await?;
                if !more {
                    break;
                }
            }
            if !more {
                info!(replica, "the chunks of a removed replica are erased");
                self.inventory.forget(replica);
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
                (applied(group), dead)
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
        let erasing = stream::iter(dead).map(|place| async move {
            self.blobs.delete_version(group.replica(), place.id).await.map(|()| place)
        });
        let mut erasing = erasing.buffer_unordered(OBJECTS_AT_ONCE);
        while let Some(erased) = erasing.next().await {
            let place = erased?;
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
