//! Makes this node's replicas complete: every live object's chunks are here, whole. A replica that was away,
//! or that an upload did not wait for, fetches them; so is a damaged chunk mended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rowhouse_proto::wire::state::{Object, object::State};
use rowhouse_raft::ReplicaId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::rate::Rate;
use super::{Damage, Objects, Progress, chunk_count, key};
use crate::actor::Pace;
use crate::state::objects::{ObjectId, Place, in_state, object};
use crate::{Error, Group};

const TICK: Duration = Duration::from_millis(500);
/// Of all replicas of a node together (consensus.md §8).
const FILL_BYTES_PER_SECOND: u64 = 32 * 1024 * 1024;
/// Objects looked at in one read of the state.
const PAGE: usize = 256;
/// Objects known to be incomplete; beyond it the rest waits unseen.
const MISSING_MAX: usize = 1024;
/// Mended in one beat, so that filling goes on beside much damage.
const REPAIRS_MAX: usize = 64;

/// How far a replica has looked.
#[derive(Default)]
struct Position {
    /// Log index up to which every object was looked at: later ones have later indexes, also after a
    /// snapshot.
    seen: u64,
    missing: BTreeSet<ObjectId>,
}

/// Runs until stopped.
pub async fn fill(
    objects: Arc<Objects>,
    damage: Arc<tokio::sync::Mutex<mpsc::Receiver<Damage>>>,
    stop: CancellationToken,
) -> Result<(), Error> {
    let rate = Rate::new(FILL_BYTES_PER_SECOND);
    let mut positions: BTreeMap<ReplicaId, Position> = BTreeMap::new();
    let mut pace = Pace::new(TICK, stop);
    let mut damage = damage.lock().await;
    while pace.goes_on().await {
        for _ in 0..REPAIRS_MAX {
            let Ok(found) = damage.try_recv() else { break };
            objects.repair(found, &rate).await?;
        }
        for group in objects.shards() {
            let position = positions.entry(group.replica()).or_default();
            objects.look(&group, position)?;
            objects.progress.set_missing(group.id(), position.missing.len() as u64);
            objects.fill_missing(&group, position, &rate).await?;
        }
    }
    Ok(())
}

impl Objects {
    fn look(&self, group: &Group, position: &mut Position) -> Result<(), Error> {
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
                Some(row) => self.fill_object(group, id, &row, rate).await?,
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
            if !self.fetch(group, id, next..to, rate).await? {
                return Ok(false);
            }
            next = to;
        }
        if self.hash_of(group, id, row).await?.is_some_and(|hash| hash.as_bytes()[..] != row.hash[..]) {
            error!(
                group = group.id(),
                "an object was fetched and is not what was written; it is fetched again"
            );
            self.blobs.delete_version(group.replica(), id).await?;
            return Ok(false);
        }
        info!(group = group.id(), bytes = row.length, "an object that was missing here is complete");
        Progress::count(&self.progress.filled);
        Ok(true)
    }

    async fn repair(&self, damage: Damage, rate: &Rate) -> Result<(), Error> {
        let Some(group) = self.host.group(damage.group) else { return Ok(()) };
        let Some(row) = live(&group, &damage.object)? else { return Ok(()) };
        let mended = match damage.index {
            None => self.fill_object(&group, damage.object, &row, rate).await?,
            Some(index) if index >= chunk_count(row.length) => false,
            // Every reader that came upon it reported it.
            Some(index) if matches!(self.blobs.get(key(&group, damage.object, index)).await, Ok(Some(_))) => {
                false
            }
            Some(index) => self.fetch(&group, damage.object, index..index + 1, rate).await?,
        };
        if mended {
            info!(?damage, "mended");
            Progress::count(&self.progress.repaired);
        }
        Ok(())
    }

    /// BLAKE3 of the whole; `None` if a chunk is missing or damaged.
    pub(super) async fn hash_of(
        &self,
        group: &Group,
        id: ObjectId,
        row: &Object,
    ) -> Result<Option<blake3::Hash>, Error> {
        let mut hasher = blake3::Hasher::new();
        for index in 0..chunk_count(row.length) {
            match self.blobs.get(key(group, id, index)).await {
                Ok(Some(body)) => hasher.update(&body),
                Ok(None) => return Ok(None),
                Err(Error::DamagedChunk(_)) => {
                    let damage = Damage { group: group.id(), object: id, index: Some(index) };
                    self.progress.damaged(damage);
                    return Ok(None);
                }
                Err(error) => return Err(error),
            };
        }
        Ok(Some(hasher.finalize()))
    }
}

/// The row, while it is an entry's body.
pub(super) fn live(group: &Group, id: &ObjectId) -> Result<Option<Object>, Error> {
    let row = group.read_latest(|view| object(view, id))?;
    Ok(row.filter(|row| row.state() == State::Live))
}
