//! Lets openraft purge: a snapshot that is only the position up to which the state is durable
//! (docs/rules/storage.md#purge-behind-durable-state). The one it sends is opened when asked for
//! (docs/rules/storage.md#a-snapshot-is-opened-when-sent).

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use openraft::{RaftSnapshotBuilder, Snapshot};

use super::applied::Applied;
use super::snapshot_data::SnapshotData;
use super::snapshot_meta::meta;
use super::store::{Slot, StateStore};
use crate::RaftTypes;
use crate::runtime::Runtime;

/// `Snapshot` of our types.
pub(super) type GroupSnapshot = Snapshot<
    openraft::impls::leader_id_adv::LeaderId<u64, crate::ReplicaId>,
    crate::ReplicaId,
    crate::Replica,
    SnapshotData,
>;

/// Extent of a snapshot.
enum Extent {
    /// The state that was durable when the builder was made.
    Durable(Arc<Applied>),
    /// The applied state: openraft insists, so it is made durable first.
    Flushed(Arc<StateStore>),
}

/// Answers openraft's wish for a snapshot without copying anything.
pub struct SnapshotBuilder<R> {
    slot: Arc<Slot>,
    extent: Extent,
    runtime: PhantomData<fn() -> R>,
}

impl<R: Runtime> SnapshotBuilder<R> {
    /// `None` while nothing is durable.
    pub(super) fn durable(slot: &Arc<Slot>) -> Option<Self> {
        let extent = Extent::Durable(slot.durable()?);
        Some(Self { slot: slot.clone(), extent, runtime: PhantomData })
    }

    pub(super) fn flushed(slot: &Arc<Slot>, store: &Arc<StateStore>) -> Self {
        Self { slot: slot.clone(), extent: Extent::Flushed(store.clone()), runtime: PhantomData }
    }
}

impl<R: Runtime> RaftSnapshotBuilder<RaftTypes<R>> for SnapshotBuilder<R> {
    type SnapshotData = SnapshotData;

    async fn build_snapshot(&mut self) -> Result<GroupSnapshot, io::Error> {
        let applied = match &self.extent {
            Extent::Durable(applied) => applied.clone(),
            Extent::Flushed(store) => {
                let store = store.clone();
                R::blocking(move || store.flush_all()).await?;
                self.slot.durable().unwrap_or_default()
            }
        };
        Ok(Snapshot { meta: meta(&applied), snapshot: SnapshotData::meta_only() })
    }
}
