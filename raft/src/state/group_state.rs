//! openraft's state machine for one group.
//!
//! Its state is written without a log of its own and may be lost back to the last flush; the Raft log
//! brings it forward again. It is never ahead of that log (docs/rules/storage.md#log-before-state).

use std::io;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::{FutureExt, Stream, StreamExt};
use openraft::storage::{ApplyResponder, EntryResponder, RaftStateMachine};
use openraft::{OptionalSend, Snapshot};
use tokio::sync::OwnedMutexGuard;

use super::apply::{ApplyBatch, apply};
use super::handle::StateHandle;
use super::snapshot_build::{GroupSnapshot, SnapshotBuilder};
use super::snapshot_data::SnapshotData;
use super::snapshot_install::install;
use super::snapshot_meta::{Meta, meta};
use super::store::{DurableListener, Slot, StateStore};
use crate::codec::{LogId, StoredMembership};
use crate::entry_spans::{EntrySpans, Step};
use crate::error::Error;
use crate::log_store::LogHandle;
use crate::machine::Machine;
use crate::runtime::Runtime;
use crate::{GroupId, RaftTypes};

/// Entries applied in one engine write: enough to share its cost, few enough to answer soon.
const BATCH_ENTRIES_MAX: usize = 256;
/// Command bytes applied in one engine write.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Batches below this run on the state machine's own task: a memtable insert is shorter than a hop to
/// the pool and back.
const INLINE_BYTES_MAX: usize = 64 << 10;

type Responders<R> = Vec<Option<ApplyResponder<RaftTypes<R>>>>;

/// How long an earlier replica of the group may take to end: a batch, or the last part of a snapshot.
const PREDECESSOR_WAIT_MAX: Duration = Duration::from_secs(5);

/// One group's state machine. The only writer of its slot.
pub struct GroupState<R: Runtime> {
    store: Arc<StateStore>,
    slot: Arc<Slot>,
    machine: Arc<dyn Machine>,
    log: LogHandle<R>,
    /// Set when an entry could not be applied.
    halted: Arc<OnceLock<Arc<Error>>>,
    _listener: DurableListener,
    _ownership: OwnedMutexGuard<()>,
}

impl<R: Runtime> GroupState<R> {
    /// Opens the group and reconciles its log with its state; call before `Raft::new`.
    pub async fn open(
        store: Arc<StateStore>,
        group: GroupId,
        machine: Arc<dyn Machine>,
        log: LogHandle<R>,
    ) -> Result<Self, Error> {
        let slot = store.slot(group);
        // openraft does not wait for its state machine when it stops: that of an earlier replica may still
        // be applying what was in its queue, and would write old batches over new ones.
        let ownership = R::timeout(PREDECESSOR_WAIT_MAX, slot.own()).await.map_err(|_| Error::Raft {
            group,
            detail: "the state machine of the replica that ran here before has not ended".to_owned(),
        })?;
        reconcile(&store, &slot, &log).await?;
        let purges = log.clone();
        let listener = slot.notify_durable(Box::new(move |log_id| purges.set_durable_applied(log_id)));
        let halted = Arc::default();
        Ok(Self { store, slot, machine, log, halted, _listener: listener, _ownership: ownership })
    }

    /// A handle for readers, which outlives this.
    pub fn handle(&self) -> StateHandle {
        StateHandle::new(self.store.engine().clone(), self.slot.clone(), self.halted.clone())
    }

    async fn apply_batch(&self, batch: ApplyBatch, responders: Responders<R>) -> Result<(), Error> {
        let Some(last) = batch.entries.last() else { return Ok(()) };
        self.log.synced(last.log_id.index).await?;
        let applied = batch.entries.iter();
        let spans = EntrySpans::begin(Step::Apply, Some(self.slot.group), self.log.replica(), applied);
        let replies = if batch.bytes < INLINE_BYTES_MAX {
            apply(self.store.engine().as_ref(), &self.slot, self.machine.as_ref(), &batch.entries)?
        } else {
            let engine = self.store.engine().clone();
            let (slot, machine) = (self.slot.clone(), self.machine.clone());
            R::blocking(move || apply(engine.as_ref(), &slot, machine.as_ref(), &batch.entries)).await?
        };
        drop(spans);
        for (responder, reply) in responders.into_iter().zip(replies) {
            if let Some(responder) = responder {
                responder.send(reply);
            }
        }
        Ok(())
    }
}

impl<R: Runtime> RaftStateMachine<RaftTypes<R>> for GroupState<R> {
    type SnapshotData = SnapshotData;
    type SnapshotBuilder = SnapshotBuilder<R>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, StoredMembership), io::Error> {
        let applied = self.slot.applied();
        Ok((applied.log_id, StoredMembership::clone(&applied.membership)))
    }

    async fn apply<Strm>(&mut self, mut entries: Strm) -> Result<(), io::Error>
    where
        Strm: Stream<Item = Result<EntryResponder<RaftTypes<R>>, io::Error>> + Unpin + OptionalSend,
    {
        while let Some(first) = entries.next().await {
            let mut batch = ApplyBatch::default();
            let mut responders = Responders::<R>::new();
            let mut next = Some(first);
            while let Some(item) = next {
                let (entry, responder) = item?;
                batch.push(entry);
                responders.push(responder);
                let full = batch.entries.len() >= BATCH_ENTRIES_MAX || batch.bytes >= BATCH_BYTES_MAX;
                // Only what is there already: waiting would delay the answers to those before.
                next = if full { None } else { entries.next().now_or_never().flatten() };
            }
            if let Err(error) = self.apply_batch(batch, responders).await {
                tracing::error!(group = self.slot.group, %error, "apply failed, the replica ends");
                let told = io::Error::other(error.to_string());
                self.halted.get_or_init(|| Arc::new(error));
                return Err(told);
            }
        }
        Ok(())
    }

    async fn try_create_snapshot_builder(&mut self, force: bool) -> Option<SnapshotBuilder<R>> {
        if force { Some(self.get_snapshot_builder().await) } else { SnapshotBuilder::durable(&self.slot) }
    }

    async fn get_snapshot_builder(&mut self) -> SnapshotBuilder<R> {
        SnapshotBuilder::flushed(&self.slot, &self.store)
    }

    async fn install_snapshot(&mut self, meta: &Meta, snapshot: SnapshotData) -> Result<(), io::Error> {
        install(&self.store, &self.slot, &self.log, meta, snapshot).await.map_err(|error| {
            tracing::error!(group = self.slot.group, %error, "snapshot was not installed, the replica ends");
            error.into()
        })
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<GroupSnapshot>, io::Error> {
        let generation = self.slot.current().generation.clone();
        let opened = SnapshotData::of_group(self.store.engine().clone(), generation)?;
        Ok(opened.map(|(snapshot, applied)| Snapshot { meta: meta(&applied), snapshot }))
    }
}

/// A crash may leave the state ahead of the log, or beside it: then the state wins, since only
/// committed entries are in it (R8b).
async fn reconcile<R: Runtime>(
    store: &Arc<StateStore>,
    slot: &Slot,
    log: &LogHandle<R>,
) -> Result<(), Error> {
    let group = slot.group;
    let purged = log.last_purged();
    let Some(applied) = slot.applied().log_id else {
        return match purged {
            None => Ok(()),
            Some(purged) => Err(lost(group, "nothing", purged)),
        };
    };
    if let Some(purged) = purged.filter(|purged| purged.index > applied.index) {
        return Err(lost(group, &applied.to_string(), purged));
    }
    if purged == Some(applied) || log.log_id_at(applied.index).await? == Some(applied) {
        return Ok(());
    }
    tracing::warn!(group, %applied, "the log does not hold what is applied: it starts anew behind it");
    let store = store.clone();
    R::blocking(move || store.flush_all()).await?;
    log.reset_to(applied).await
}

/// The log begins behind the state: what lies between is gone from this node.
fn lost(group: GroupId, applied: &str, purged: LogId) -> Error {
    Error::corrupt("state", format_args!("group {group} applied {applied}, its log is purged up to {purged}"))
}
