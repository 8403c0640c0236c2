//! Replaces a group's state by a received snapshot, all of it or nothing: the records go in under a
//! fresh generation, one synced record makes it current, the old range is dropped.

use std::sync::Arc;

use super::applied::{APPLIED_KEY, Applied};
use super::generation::{self, Generation};
use super::snapshot_data::SnapshotData;
use super::snapshot_meta::{Meta, meta};
use super::store::{Slot, StateStore};
use crate::error::Error;
use crate::log_store::LogHandle;
use crate::runtime::Runtime;
use crate::{GroupId, planted};

const WHAT: &str = "a snapshot to install";

pub(super) async fn install<R: Runtime>(
    store: &Arc<StateStore>,
    slot: &Arc<Slot>,
    log: &LogHandle<R>,
    expected: &Meta,
    data: SnapshotData,
) -> Result<(), Error> {
    let Some(log_id) = expected.last_log_id else {
        return Err(Error::corrupt(WHAT, "it has no log id"));
    };
    if slot.applied().log_id >= Some(log_id) {
        tracing::warn!(group = slot.group, %log_id, "snapshot is not newer than the state and ignored");
        return Ok(());
    }
    let fresh = slot.fresh_generation();
    let applied = {
        let (store, fresh, group) = (store.clone(), fresh.clone(), slot.group);
        R::blocking(move || ingest(&store, group, &fresh, data)).await?
    };
    if meta(&applied) != *expected {
        return Err(Error::corrupt(WHAT, format_args!("it says {}, its sender {expected}", meta(&applied))));
    }
    // The state must not be ahead of a log that a crash could still take back (docs/rules/storage.md#log-before-state).
    log.synced(log_id.index).await?;
    let (store, slot) = (store.clone(), slot.clone());
    R::blocking(move || make_current(&store, &slot, fresh, applied)).await
}

/// Writes the records under `fresh`; the current generation is untouched.
fn ingest(
    store: &StateStore,
    group: GroupId,
    fresh: &Generation,
    data: SnapshotData,
) -> Result<Applied, Error> {
    let mut applied = None;
    let mut records = data.into_records().map(|record| {
        let (key, value) = record?;
        if key == APPLIED_KEY {
            applied = Some(Applied::decode(value.clone())?);
        }
        Ok((fresh.key(&key), planted::restored(group, &key, value)))
    });
    store.engine().ingest(store.staging(), &mut records)?;
    drop(records);
    applied.ok_or_else(|| Error::corrupt(WHAT, "it has no Applied record"))
}

fn make_current(
    store: &StateStore,
    slot: &Slot,
    fresh: Arc<Generation>,
    applied: Applied,
) -> Result<(), Error> {
    if slot.applied().log_id >= applied.log_id {
        return Err(Error::corrupt(WHAT, "the state passed it while it was written"));
    }
    generation::flip(store.engine().as_ref(), &fresh)?;
    let old = slot.current().generation.clone();
    slot.advance(fresh, applied);
    slot.set_durable(slot.applied());
    store.retire(old)
}
