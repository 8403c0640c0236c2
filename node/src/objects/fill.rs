//! Makes this node's replicas complete: they hold every chunk of every live object, undamaged.
//!
//! A replica that was away, or that an upload did not wait for, fetches chunks from another one. Damaged chunks are
//! mended in this way too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rowhouse_proto::CHUNK_BYTES;
use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::ReplicaId;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::fetch::Near;
use super::progress::{Damage, Progress};
use super::rate::Rate;
use super::shared::{Objects, chunk_count, key};
use crate::actor::Pace;
use crate::state::objects::{ObjectId, Place, in_state, object};
use crate::{Error, Group};

const TICK: Duration = Duration::from_millis(500);
/// Rate of all replicas of a node together (docs/rules/storage.md#chunks-follow-rows).
const FILL_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Objects known to be incomplete; beyond it the rest waits unseen.
const MISSING_MAX: usize = 1024;
/// Reports taken in one beat, so that filling goes on beside much damage.
const REPORTS_MAX: usize = 64;
/// Known damage of one replica.
const DAMAGED_MAX: usize = 4096;

/// How far a replica has looked.
#[derive(Default)]
struct Position {
    /// Log index up to which every object was looked at: later ones have later indexes, also after a
    /// snapshot.
    seen: u64,
    missing: BTreeSet<ObjectId>,
    /// A chunk, or the object as a whole, until it is mended.
    damaged: BTreeSet<(ObjectId, Option<u32>)>,
    near: Near,
}

/// The result of reading all of an object.
pub(super) enum Verdict {
    Whole,
    /// Chunks are missing or damaged.
    Incomplete,
    /// Every chunk is as it was stored here, and together they are not what was written.
    Wrong,
}

/// Runs until stopped.
pub async fn fill(objects: &Objects, stop: CancellationToken) -> Result<(), Error> {
    let rate = Rate::new(FILL_BYTES_PER_SECOND);
    let mut positions: BTreeMap<ReplicaId, Position> = BTreeMap::new();
    let mut pace = Pace::new(TICK, stop);
    let mut damage = objects.damage.lock().await;
    while pace.goes_on().await {
        for _ in 0..REPORTS_MAX {
            let Ok(found) = damage.try_recv() else { break };
            let Some(group) = objects.local.host.group(found.group) else { continue };
            let position = positions.entry(group.replica()).or_default();
            // Beyond the bound it is found again, by a read or the scrub.
            if position.damaged.len() < DAMAGED_MAX {
                position.damaged.insert((found.object, found.index));
            }
        }
        for group in objects.shards() {
            let position = positions.entry(group.replica()).or_default();
            objects.look(&group, position).await?;
            objects.progress.set_missing(group.id(), position.missing.len() as u64);
            // The rest of a disk that is low belongs to the log.
            if !objects.local.space.is_low() {
                objects.repair_damaged(&group, position, &rate).await?;
                objects.fill_missing(&group, position, &rate).await?;
            }
        }
    }
    Ok(())
}

impl Objects {
    async fn look(&self, group: &Group, position: &mut Position) -> Result<(), Error> {
        while position.missing.len() < MISSING_MAX {
            let from = Place::first_at(position.seen + 1);
            let page = group.read_latest(|view| in_state(view, State::Live, from, u64::MAX - 1, PAGE))?;
            let Some(last) = page.last().copied() else { return Ok(()) };
            for place in &page {
                let Some(row) = live(group, &place.id)? else { continue };
                if !self.is_complete(group, place.id, &row)? {
                    position.missing.insert(place.id);
                }
            }
            position.seen = last.at;
            // Every lookup is a read of the index: others want the thread as well.
            tokio::task::yield_now().await;
        }
        Ok(())
    }

    fn is_complete(&self, group: &Group, id: ObjectId, row: &Object) -> Result<bool, Error> {
        for index in 0..chunk_count(row.length) {
            if !self.blobs.has(key(group, id, index))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn fill_missing(&self, group: &Group, position: &mut Position, rate: &Rate) -> Result<(), Error> {
        for id in position.missing.clone() {
            let done = match live(group, &id)? {
                // Replaced meanwhile.
                None => true,
                Some(row) => self.fill_object(group, id, &row, &mut position.near, rate).await?,
            };
            if done {
                position.missing.remove(&id);
                self.progress.set_missing(group.id(), position.missing.len() as u64);
            }
        }
        Ok(())
    }

    async fn fill_object(
        &self,
        group: &Group,
        id: ObjectId,
        row: &Object,
        near: &mut Near,
        rate: &Rate,
    ) -> Result<bool, Error> {
        let end = chunk_count(row.length);
        let mut next = 0;
        while next < end {
            if self.blobs.has(key(group, id, next))? {
                next += 1;
                continue;
            }
            let mut to = next + 1;
            while to < end && !self.blobs.has(key(group, id, to))? {
                to += 1;
            }
            if !self.fetch(group, id, next..to, near, rate).await? {
                return Ok(false);
            }
            next = to;
        }
        match self.verify(group, id, row, rate).await? {
            Verdict::Whole => {}
            Verdict::Incomplete => return Ok(false),
            Verdict::Wrong => {
                self.progress.damaged(Damage { group: group.id(), object: id, index: None });
                return Ok(true);
            }
        }
        info!(group = group.id(), bytes = row.length, "an object that was missing here is complete");
        Progress::count(&self.progress.filled);
        Ok(true)
    }

    /// Damage that is not mended now stays, and is tried again at the next beat.
    async fn repair_damaged(&self, group: &Group, position: &mut Position, rate: &Rate) -> Result<(), Error> {
        for (id, index) in position.damaged.clone() {
            let done = match live(group, &id)? {
                // Replaced meanwhile.
                None => true,
                Some(row) => self.repair(group, (id, index), &row, &mut position.near, rate).await?,
            };
            if done {
                position.damaged.remove(&(id, index));
            }
        }
        Ok(())
    }

    async fn repair(
        &self,
        group: &Group,
        (id, index): (ObjectId, Option<u32>),
        row: &Object,
        near: &mut Near,
        rate: &Rate,
    ) -> Result<bool, Error> {
        let Some(index) = index else { return self.replace(group, id, row, rate).await };
        // Every reader that came upon it reported it.
        let is_mended = index >= chunk_count(row.length)
            || matches!(self.blobs.get(key(group, id, index)).await, Ok(Some(_)));
        if is_mended {
            return Ok(true);
        }
        if !self.fetch(group, id, index..index + 1, near, rate).await? {
            return Ok(false);
        }
        info!(group = group.id(), index, "mended");
        Progress::count(&self.progress.repaired);
        Ok(true)
    }

    /// The chunks are what was sent, and not what was written: another replica's take their places, until they
    /// are.
    async fn replace(&self, group: &Group, id: ObjectId, row: &Object, rate: &Rate) -> Result<bool, Error> {
        let mut has_all = true;
        for node in group.other_voters() {
            let is_here = self.fetch_at(node, group, id, &mut (0..chunk_count(row.length)), rate).await?;
            let verdict =
                if is_here { self.verify(group, id, row, rate).await? } else { Verdict::Incomplete };
            match verdict {
                Verdict::Whole => {
                    info!(group = group.id(), "an object that was not what was written is mended");
                    Progress::count(&self.progress.repaired);
                    return Ok(true);
                }
                Verdict::Incomplete => has_all = false,
                Verdict::Wrong => {}
            }
        }
        if has_all {
            error!(group = group.id(), "an object is on no replica what was written; it is left as it is");
        }
        Ok(has_all)
    }

    /// Reads the whole object. Chunks that are not here, or are damaged, are reported.
    pub(super) async fn verify(
        &self,
        group: &Group,
        id: ObjectId,
        row: &Object,
        rate: &Rate,
    ) -> Result<Verdict, Error> {
        let (mut hasher, mut all) = (blake3::Hasher::new(), true);
        for index in 0..chunk_count(row.length) {
            rate.take(CHUNK_BYTES).await;
            let damage = Damage { group: group.id(), object: id, index: Some(index) };
            match self.blobs.get(key(group, id, index)).await {
                Ok(Some(body)) => drop(hasher.update(&body)),
                Ok(None) => {
                    all = false;
                    self.progress.lacks(damage);
                }
                Err(Error::DamagedChunk(_)) => {
                    all = false;
                    self.progress.damaged(damage);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(match all {
            false => Verdict::Incomplete,
            true if hasher.finalize().as_bytes()[..] == row.hash[..] => Verdict::Whole,
            true => Verdict::Wrong,
        })
    }
}

/// The row, while it is an entry's body.
pub(super) fn live(group: &Group, id: &ObjectId) -> Result<Option<Object>, Error> {
    let row = group.read_latest(|view| object(view, id))?;
    Ok(row.filter(|row| row.state() == State::Live))
}
