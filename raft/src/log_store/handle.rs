//! `LogHandle`: what the state machine and the host ask of a running log.

use std::marker::PhantomData;
use std::sync::Arc;

use super::answer::answered;
use super::engine::LogEngine;
use super::reader::LogReader;
use super::replica_log::ReplicaLog;
use super::volume::Volume;
use crate::ReplicaId;
use crate::codec::LogId;
use crate::error::Error;
use crate::runtime::Runtime;

/// A running log, for the state machine and the host. Clones are the same log.
pub struct LogHandle<R> {
    log: Arc<ReplicaLog>,
    engine: Arc<dyn LogEngine>,
    _runtime: PhantomData<fn() -> R>,
}

impl<R> Clone for LogHandle<R> {
    fn clone(&self) -> Self {
        Self { log: self.log.clone(), engine: self.engine.clone(), _runtime: PhantomData }
    }
}

impl<R: Runtime> LogHandle<R> {
    pub(super) fn new(log: Arc<ReplicaLog>, engine: Arc<dyn LogEngine>) -> Self {
        Self { log, engine, _runtime: PhantomData }
    }

    /// The replica whose log this is.
    pub fn replica(&self) -> ReplicaId {
        self.log.replica()
    }

    /// Returns when this node's log is durable up to `index` (docs/rules/storage.md#log-before-state). For an index
    /// behind the log's end: when everything submitted before the call is durable. If the entry is truncated
    /// meanwhile: when the truncation is.
    pub async fn synced(&self, index: u64) -> Result<(), Error> {
        match self.log.wait_synced(index)? {
            None => Ok(()),
            Some(woken) => answered(woken).await,
        }
    }

    /// Returns when everything submitted before the call is durable (the generation flip of
    /// docs/rules/storage.md#log-before-state).
    pub async fn synced_all(&self) -> Result<(), Error> {
        self.synced(u64::MAX).await
    }

    /// The state machine would survive a crash with everything up to `log_id`: purges up to it are released
    /// (docs/rules/storage.md#purge-behind-durable-state). Must be called before an installed snapshot is reported to
    /// openraft, which purges up to it and then appends behind it.
    pub fn set_durable_applied(&self, log_id: LogId) {
        self.log.set_durable_applied(self.engine.as_ref(), log_id);
    }

    /// The id at `index`: of an entry, or of the last purged one.
    pub async fn log_id_at(&self, index: u64) -> Result<Option<LogId>, Error> {
        if let Some(purged) = self.log.purged().filter(|purged| index <= purged.index) {
            return Ok((purged.index == index).then_some(purged));
        }
        if let Some(log_id) = self.log.entry_in_tail(index) {
            return Ok(Some(log_id));
        }
        let reader = LogReader::<R>::new(self.log.clone(), self.engine.clone());
        let found = reader.read(index, index.saturating_add(1)).await?;
        Ok(found.first().map(|entry| entry.log_id))
    }

    /// Drops the whole log and records it as purged up to `log_id`; durable when it returns (R8b).
    pub async fn reset_to(&self, log_id: LogId) -> Result<(), Error> {
        answered(self.log.reset(self.engine.as_ref(), log_id)?).await
    }

    /// Whether the disk of this node's log hangs (`SyncProgress`).
    pub fn hangs(&self) -> bool {
        self.engine.progress().hangs()
    }

    /// Last purged entry, as openraft knows it.
    pub fn last_purged(&self) -> Option<LogId> {
        self.log.purged()
    }

    /// The bytes of its entries that openraft has not purged, by index.
    pub(crate) fn volume(&self) -> Volume {
        self.log.state().volume.clone()
    }

    /// Id of the last entry, or of the last purged one.
    pub fn last_log_id(&self) -> Option<LogId> {
        self.log.state().positions.last()
    }
}
